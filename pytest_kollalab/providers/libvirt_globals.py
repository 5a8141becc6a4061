"""Kolla settings of virtual machines: next to none, for Kolla is made for such hosts."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.providers.libvirt_xml import INTERFACES


def kolla_globals() -> dict[str, Any]:
    """Which interface is which; all else is stock.

    Open vSwitch forwards in the kernel, modules and sysctls are the node's own, limits can be
    raised, tunnels travel the management network.
    """
    return {
        "network_interface": INTERFACES["management"],
        "neutron_external_interface": INTERFACES["external"],
    }
