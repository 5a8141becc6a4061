"""Kolla settings of virtual machines: next to none, for Kolla is made for such hosts."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.providers.libvirt.xml import INTERFACES

# Seconds, oslo.messaging's own default.
PATIENT = 60
# Seconds: each check starts processes, and there is one for every container.
CHECK_INTERVAL = 240
CHECK_TIMEOUT = 120
# Kolla's own check of RabbitMQ starts six Erlang machines, each of which takes half a minute there:
# they had a processor for a third of the time, and were late all the same. What listens has booted.
RABBITMQ_CHECK = ["CMD-SHELL", "healthcheck_listen beam.smp {{ rabbitmq_port }}"]


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
        found["rabbitmq_healthcheck_test"] = RABBITMQ_CHECK
    return found
