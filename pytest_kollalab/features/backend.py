"""Network backends: how a cloud implements Neutron's networks."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_kollalab.features import BACKEND
from pytest_kollalab.features.base import FeatureParts
from pytest_kollalab.features.log_lines import LogLine
from pytest_kollalab.sdn import dataplane
from pytest_kollalab.sdn.dataplane import Dataplane


@dataclass(frozen=True)
class NetworkBackend:
    """A way to implement Neutron's networks, as plain data.

    Attributes:
        name: Its name in features and in the configuration.
        parts: What it adds to the feature `core`: images, containers, agents, variables.
        dataplane: What scenarios need to know about it.
    """

    name: str
    parts: FeatureParts
    dataplane: Dataplane


OVS = NetworkBackend(
    name=BACKEND,
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
            # With Open vSwitch in user space there is no bridge on which iptables could filter.
            "neutron/openvswitch_agent.ini": "[securitygroup]\n"
            "firewall_driver = noop\nenable_security_group = false\n",
        },
        addresses=("neutron.ml2_vxlan_endpoints.ip_address",),
        usual=(
            LogLine(
                r"^kolla/openvswitch/ovs-vswitchd\.log$",
                r"dropping VLAN 0 packet received on port tap.* not configured for trunking VLAN 0"
                r".*icmp6,.*ipv6_dst=ff02:",
                "a new probe looks for its IPv6 neighbours before the agent has wired its port",
            ),
        ),
        telling=(
            LogLine(
                r"^kolla/neutron/neutron-openvswitch-agent\.log$",
                r"putting on the dead VLAN",
                "a port that is down (admin_state_up=False) forwards nothing",
            ),
        ),
    ),
    dataplane=dataplane.OVS,
)
