"""What is plugged into bridges: probes, service functions, servers, hosts, DHCP and routers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_kollalab.sdn.topology.names import Names
from pytest_kollalab.sdn.topology.topology import PATCH, TUNNEL, BridgePort, Topology

PROBE, FUNCTION, SERVER, SERVER_FUNCTION = "probe", "function", "server", "function in a server"
HOST, DHCP, ROUTER, PORT = "data centre host", "DHCP", "router", "port"
# The bridge of the data centre's hosts, and the prefixes of namespaces: those of probes and hosts,
# and Neutron's.
SITES = "br-mpls"
OURS, DHCP_SPACE, ROUTER_SPACE = "kl-", "qdhcp-", "qrouter-"
KINDS = (PROBE, FUNCTION, SERVER_FUNCTION, SERVER, HOST, ROUTER, DHCP, PORT)


@dataclass(frozen=True)
class End:
    """A thing with one or more ports on a node.

    Attributes:
        node: The node that it is on.
        kind: One of `KINDS`.
        name: Its name.
        id: The id of a server, a router or a network's DHCP; empty for others.
        ports: Its ports.
    """

    node: str
    kind: str
    name: str
    id: str
    ports: tuple[BridgePort, ...]

    @property
    def networks(self) -> frozenset[str]:
        """The ids of the networks that it is in."""
        return frozenset(port.neutron.network for port in self.ports if port.neutron is not None)


def is_plugged(port: BridgePort) -> bool:
    """Whether something may be plugged in: it is no patch, no tunnel and not the bridge itself."""
    return port.kind not in (PATCH, TUNNEL) and port.name != port.bridge


def ends(topology: Topology, names: Names, node: str) -> list[End]:
    """What is plugged in on a node, by network, kind and name.

    A device that belongs to no namespace and not to Neutron, such as the node's link to a network,
    is a port of its bridge and no more.
    """
    groups: dict[tuple[str, str, str], list[BridgePort]] = {}
    for port in topology.ports_of(node):
        if is_plugged(port) and (port.namespace or port.neutron is not None):
            groups.setdefault(_owner(port, names), []).append(port)
    found = [
        End(node, _role(kind, ports, names), name, own, tuple(_in_order(ports, names)))
        for (kind, name, own), ports in groups.items()
    ]
    return sorted(found, key=lambda end: (sorted(end.networks), KINDS.index(end.kind), end.name))


def _role(kind: str, ports: Sequence[BridgePort], names: Names) -> str:
    """The kind of an end; a probe or a server with a function's port is that function."""
    if any(port.neutron is not None and port.neutron.port in names.functions for port in ports):
        return {PROBE: FUNCTION, SERVER: SERVER_FUNCTION}.get(kind, kind)
    return kind


def _owner(port: BridgePort, names: Names) -> tuple[str, str, str]:
    """The kind, the name and the id of what a port belongs to."""
    own = port.neutron.port if port.neutron is not None else ""
    known = names.ports.get(own)
    if known is not None and known.device in names.servers:
        return (SERVER, names.servers[known.device], known.device)
    if port.namespace.startswith(OURS):
        kind = HOST if not own and port.bridge == SITES else PROBE
        return (kind, port.namespace.removeprefix(OURS), "")
    if port.namespace.startswith(DHCP_SPACE):
        network = port.namespace.removeprefix(DHCP_SPACE)
        return (DHCP, names.networks.get(network, network), network)
    if port.namespace.startswith(ROUTER_SPACE):
        router = port.namespace.removeprefix(ROUTER_SPACE)
        return (ROUTER, names.routers.get(router, router), router)
    if known is not None and known.owner == "compute:probe":
        return (PROBE, known.device, "")
    if known is not None and known.owner == "network:dhcp" and port.neutron is not None:
        network = port.neutron.network
        return (DHCP, names.networks.get(network, network), network)
    named = known.name if known is not None else ""
    return (PORT, named or port.namespace or f"port {own[:8]}", own)


def _in_order(ports: Sequence[BridgePort], names: Names) -> Iterator[BridgePort]:
    ingress = {one for chain in names.chains for step in chain.steps for one, _ in step}
    yield from sorted(
        ports,
        key=lambda port: (
            port.neutron is not None and port.neutron.port not in ingress,
            port.name,
        ),
    )
