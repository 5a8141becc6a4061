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
        own_ports: The owners of the ports that the backend itself creates in a project's network.
    """

    agent: str
    container: str
    tunnel_bridge: str
    own_ports: tuple[str, ...]


OVS = Dataplane(
    agent="neutron-openvswitch-agent",
    container="neutron_openvswitch_agent",
    tunnel_bridge="br-tun",
    own_ports=("network:dhcp",),
)
