"""Kolla settings of docker nodes: what Kolla-Ansible must know about hosts that are containers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pytest_kollalab.providers.base import ProvidedNodes

INTERFACES = {
    "provisioning": "prov0",
    "management": "mgmt0",
    "external": "ext0",
    "tunnel": "tun0",
}
UNDERLAY_BRIDGE = "br-phy"


def kolla_globals(missing_capabilities: Collection[str]) -> dict[str, Any]:
    """Variables of the whole cloud; some only matter where the host lacks a capability."""
    found: dict[str, Any] = {
        "network_interface": INTERFACES["management"],
        "neutron_external_interface": INTERFACES["external"],
        # A node shares the host's kernel: it can neither load modules nor set host-wide sysctls.
        "modules": [],
        "set_sysctl": False,
        # Open vSwitch's kernel datapath is a module; its userspace datapath works everywhere.
        "ovs_datapath": "netdev",
        # Wrappers start dnsmasq and keepalived as containers of their own through the docker
        # socket, which needs the docker CLI in Neutron's images.
        "neutron_agents_wrappers": "no",
        # The clock is the host's.
        "prechecks_enable_host_ntp_checks": False,
        # The node's dockerd has no iptables of its own (see daemon.json of the node).
        "docker_disable_default_iptables_rules": True,
        "nova_compute_virt_type": "qemu",
    }
    if "SYS_RESOURCE" in missing_capabilities:
        # No limit can be raised: neither nofile nor memlock of a container, and libvirt must not
        # try for each guest ("cannot limit number of subprocesses"); 0 means leave it alone.
        found |= {
            "default_container_dimensions": {},
            "nova_libvirt_dimensions": {},
            "qemu_max_files": 0,
            "qemu_max_processes": 0,
        }
    return found


def host_vars(made: ProvidedNodes) -> dict[str, dict[str, Any]]:
    """Variables of each node: the tunnel address sits on a bridge that Ansible's facts miss."""
    return {
        node: {
            "tunnel_interface_address": addresses.tunnel,
            "kollalab_underlay_bridge": UNDERLAY_BRIDGE,
        }
        for node, addresses in made.nodes.items()
    }
