"""The dataplane: what scenarios need to know about a network backend on the nodes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataplane:
    """How a network backend implements networks on the nodes.

    Attributes:
        agent: The agent that programs the switch of a node, by its binary in Neutron's API.
        container: The container of the agent.
        tunnel_bridge: The bridge with the tunnels; empty if the integration bridge has them.
        tunnel: The kind of the tunnels between nodes, as Open vSwitch names it.
        own_ports: The owners of the ports that the backend itself creates in a project's network.
        openflow: The newest version of OpenFlow that the integration bridge speaks.
        steady_flows: Whether a port's flows stay the same as long as the port does. Otherwise they
            have numbers that change with other ports, and other nodes have some at times: while
            they have a port of the same network, and a while longer.
        misses_ports: Whether the agent may miss a plugged port, which has to be announced again.
        space: The beginning of the name of the namespace that a network with DHCP has; its id
            follows.
        space_at_ports: Whether each node with a port of the network has that namespace. Otherwise
            the controller has it.
        reserved: The owner of a port that only reserves an address of the external network.
    """

    agent: str
    container: str
    tunnel_bridge: str
    tunnel: str
    own_ports: tuple[str, ...]
    openflow: str
    steady_flows: bool
    misses_ports: bool
    space: str
    space_at_ports: bool
    reserved: str


OVS = Dataplane(
    agent="neutron-openvswitch-agent",
    container="neutron_openvswitch_agent",
    tunnel_bridge="br-tun",
    tunnel="vxlan",
    own_ports=("network:dhcp",),
    openflow="OpenFlow13",
    steady_flows=True,
    misses_ports=True,
    space="qdhcp-",
    space_at_ports=False,
    reserved="kollalab:outside",
)
OVN = Dataplane(
    agent="ovn-controller",
    container="ovn_controller",
    tunnel_bridge="",
    tunnel="geneve",
    # Each network with a subnet has one, for its metadata.
    own_ports=("network:distributed",),
    # In an older version the bridge does not tell its groups.
    openflow="OpenFlow15",
    steady_flows=False,
    misses_ports=False,
    # That of the metadata, which is reached from the same node only.
    space="ovnmeta-",
    space_at_ports=True,
    # For any other owner OVN sends what is for the address to a logical port that is nowhere.
    reserved="network:floatingip",
)
