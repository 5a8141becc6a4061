"""The network backend: what carries out Neutron's networks, and what a cloud has because of it."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kollalab.features.base import FeatureParts
from pytest_kollalab.sdn import dataplane
from pytest_kollalab.sdn.dataplane import Dataplane


@dataclass(frozen=True)
class NetworkBackend:
    """One of the ways in which Neutron's networks are carried out, as plain data.

    Attributes:
        name: What features and the configuration call it.
        parts: What the feature `core` has more with it: images, containers, agents, variables.
        dataplane: What scenarios must know of it.
    """

    name: str
    parts: FeatureParts
    dataplane: Dataplane


OVS = NetworkBackend(
    name="ovs",
    parts=FeatureParts(
        control_images=(
            "neutron-openvswitch-agent",
            "neutron-dhcp-agent",
            "neutron-l3-agent",
            "neutron-metadata-agent",
        ),
        compute_images=("neutron-openvswitch-agent",),
        containers={
            "control": (
                "neutron_dhcp_agent",
                "neutron_l3_agent",
                "neutron_metadata_agent",
                "neutron_openvswitch_agent",
            ),
            "compute": ("neutron_openvswitch_agent",),
        },
        agents={
            "control": ("DHCP agent", "L3 agent", "Metadata agent", "Open vSwitch agent"),
            "compute": ("Open vSwitch agent",),
        },
        globals={"neutron_plugin_agent": "openvswitch"},
        userspace_config={
            # Open vSwitch in user space has no bridge that iptables could filter on.
            "neutron/openvswitch_agent.ini": "[securitygroup]\n"
            "firewall_driver = noop\nenable_security_group = false\n",
        },
        addresses=("neutron.ml2_vxlan_endpoints.ip_address",),
    ),
    dataplane=dataplane.OVS,
)
