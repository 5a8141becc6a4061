"""Kolla settings of virtual machines: next to none, for Kolla is made for such hosts."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.providers.libvirt_xml import INTERFACES

# Seconds, oslo.messaging's own default.
PATIENT = 60


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
    return found
