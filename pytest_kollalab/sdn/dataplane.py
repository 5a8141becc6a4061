"""The dataplane: what scenarios must know of the way a network backend works on the nodes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataplane:
    """How a network backend carries out networks on the nodes.

    Attributes:
        agent: The process that fills the switch of a node, as Neutron's API calls its binary.
        container: The container that it runs in.
        tunnel_bridge: The bridge with the tunnels; empty where the integration bridge has them.
        own_ports: Owners of the ports that the backend makes in a project's network by itself.
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
