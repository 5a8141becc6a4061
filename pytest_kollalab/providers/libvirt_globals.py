"""Kolla settings of virtual machines: next to none, for Kolla is made for such hosts."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.providers.libvirt_xml import INTERFACES

# Seconds, oslo.messaging's own default.
PATIENT = 60
# Seconds. Kolla's 30 are what RabbitMQ's own check takes there, which then never ends.
CHECK_INTERVAL = 240
CHECK_TIMEOUT = 120


def kolla_globals(*, emulated: bool) -> dict[str, Any]:
    """Which interface is which; all else is stock.

    Open vSwitch forwards in the kernel, modules and sysctls are the node's own, limits can be
    raised, tunnels travel the management network.
    """
    found: dict[str, Any] = {
        "network_interface": INTERFACES["management"],
        "neutron_external_interface": INTERFACES["external"],
    }
    if emulated:
        # An answer may take longer than the time-out of the feature `core`.
        found["kollalab_rpc_timeout"] = PATIENT
        found["default_container_healthcheck_interval"] = CHECK_INTERVAL
        found["default_container_healthcheck_timeout"] = CHECK_TIMEOUT
    return found
