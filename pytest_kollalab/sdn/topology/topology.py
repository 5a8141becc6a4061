"""The topology of a network: nodes, bridges, ports and links, and the packets at ports."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Protocol

from pytest_kollalab.sdn import figures
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.capture.packets import Packet
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Target

# The kinds of ports: an end of a patch or of a tunnel, an internal device of Open vSwitch, or a
# device of the kernel.
PATCH, TUNNEL, INTERNAL, DEVICE = "patch", "tunnel", "internal", "device"
# Seconds after a change within which a collector must see it.
WITHIN = 30.0
TUNNELS = frozenset({"vxlan", "gre", "geneve", "stt", "gtpu", "lisp"})
# The tag of a port that Neutron's agent does not connect: its packets are dropped.
DEAD = 4095
# The remote address of a tunnel port that sends each packet where a flow says.
FLOW = "flow"


@dataclass(frozen=True, order=True)
class Identity:
    """A port as Neutron knows it.

    Attributes:
        port: The id of the port.
        network: The id of its network.
        addresses: Its IPv4 addresses with their prefix lengths.
        vni: The VXLAN network identifier, 0 if there is none.
    """

    port: str
    network: str
    addresses: tuple[str, ...] = ()
    vni: int = 0


@dataclass(frozen=True, order=True)
class Bridge:
    """A bridge of Open vSwitch on a node."""

    node: str
    name: str


@dataclass(frozen=True)
class BridgePort:
    """A port of a bridge.

    Attributes:
        node: The node of the bridge.
        bridge: The name of the bridge.
        name: The name of the port.
        kind: `patch`, `tunnel`, `internal` or `device`.
        mac: The MAC address of its device, if it has one.
        namespace: The network namespace of its device; empty for that of the node.
        peer: The name of the port at the other end of a patch.
        remote: The address of the other end of a tunnel, or `flow`.
        local: The address of this end of a tunnel.
        addresses: The IPv4 addresses of a device in a namespace that is not Neutron's, with their
            prefix lengths.
        tag: The VLAN of its packets in the bridge; 0 for none.
        neutron: What Neutron knows of it; None for ports that are not Neutron's.
    """

    node: str
    bridge: str
    name: str
    kind: str = DEVICE
    mac: str = ""
    namespace: str = ""
    peer: str = ""
    remote: str = ""
    neutron: Identity | None = None
    local: str = ""
    addresses: tuple[str, ...] = ()
    tag: int = 0

    def __str__(self) -> str:
        return f"{self.name} of {self.bridge} on {self.node}"

    @property
    def is_dead(self) -> bool:
        """Whether the port is on the dead VLAN, so that nothing passes it."""
        return self.tag == DEAD

    @property
    def place(self) -> tuple[str, str, str]:
        """Node, bridge and name, which are unique in a topology."""
        return (self.node, self.bridge, self.name)

    def reaches(self, other: BridgePort) -> bool:
        """Whether a tunnel port sends to another, of the same name of a bridge on another node."""
        if self.node == other.node or self.bridge != other.bridge:
            return False
        return self.remote == FLOW or (self.remote == other.local and bool(self.remote))


@dataclass(frozen=True)
class Link:
    """The two ends of a patch or a tunnel; `kind` is `patch` or `tunnel`."""

    kind: str
    a: BridgePort
    b: BridgePort


@dataclass(frozen=True)
class Difference:
    """A difference between two topologies.

    Attributes:
        name: The kind of the difference, such as `port` or `mac`.
        where: What differs.
        one: The value in the first topology, empty if there is none.
        other: The value in the second topology, empty if there is none.
    """

    name: str
    where: str
    one: str
    other: str

    def __str__(self) -> str:
        return f"{self.name}: {self.where}: {self.one or 'nothing'} / {self.other or 'nothing'}"


@dataclass(frozen=True)
class Topology:
    """The nodes, bridges and ports of a network at one moment."""

    nodes: tuple[str, ...]
    bridges: frozenset[Bridge]
    ports: tuple[BridgePort, ...]

    def bridges_of(self, node: str) -> set[str]:
        """The names of the bridges of a node."""
        return {bridge.name for bridge in self.bridges if bridge.node == node}

    def ports_of(self, node: str, bridge: str | None = None) -> tuple[BridgePort, ...]:
        """The ports of a node, or of one of its bridges."""
        return tuple(p for p in self.ports if p.node == node and bridge in (None, p.bridge))

    def neutron(self, port: str) -> BridgePort | None:
        """The port with this id in Neutron, or None."""
        found = (p for p in self.ports if p.neutron is not None and p.neutron.port == port)
        return next(found, None)

    def on_network(self, network: str) -> tuple[BridgePort, ...]:
        """The ports of the network with this id in Neutron."""
        return tuple(
            p for p in self.ports if p.neutron is not None and p.neutron.network == network
        )

    def patches(self, node: str) -> set[frozenset[str]]:
        """The pairs of bridges of a node that are connected by patch ports."""
        return {
            frozenset((link.a.bridge, link.b.bridge))
            for link in self.links()
            if link.kind == PATCH and link.a.node == node
        }

    def links(self) -> tuple[Link, ...]:
        """Every patch and every tunnel whose two ends are in the topology, once."""
        found: dict[frozenset[tuple[str, str, str]], Link] = {}
        by_name = {(port.node, port.name): port for port in self.ports if port.kind == PATCH}
        for port in self.ports:
            if port.kind == PATCH and (far := by_name.get((port.node, port.peer))) is not None:
                found.setdefault(frozenset((port.place, far.place)), Link(PATCH, port, far))
        tunnels = [port for port in self.ports if port.kind == TUNNEL]
        for near, far in combinations(sorted(tunnels, key=lambda port: port.place), 2):
            if near.reaches(far) and far.reaches(near):
                found[frozenset((near.place, far.place))] = Link(TUNNEL, near, far)
        return tuple(found.values())


@dataclass(frozen=True)
class ObservedFlow:
    """The packets that passed a port between two addresses.

    Attributes:
        protocol: The protocol, such as `icmp`.
        a: One address.
        b: The other address.
        forward: The number of packets from `a` to `b`.
        back: The number of packets from `b` to `a`.
    """

    protocol: str
    a: str
    b: str
    forward: int
    back: int

    def between(self, one: str, other: str) -> tuple[int, int]:
        """The packets from `one` to `other` and back; zeros if the flow is of other addresses."""
        if (self.a, self.b) == (one, other):
            return (self.forward, self.back)
        return (self.back, self.forward) if (self.b, self.a) == (one, other) else (0, 0)


@dataclass(frozen=True)
class Hop:
    """A port that packets passed, with their number and their TTL."""

    port: BridgePort
    packets: int
    ttl: int


class Sight(Protocol):
    """The flows and packets at some ports during a block; complete when the block has ended."""

    def flows(self, point: BridgePort) -> Sequence[ObservedFlow]:
        """The flows that passed a port, one for each pair of addresses."""

    def packets(self, point: BridgePort) -> Sequence[Packet]:
        """The packets that passed a port, in order."""


class Collector(Protocol):
    """A source of the topology: Skydive, or the nodes themselves."""

    name: str

    def topology(self) -> Topology:
        """The topology now."""

    def watch(
        self, points: Iterable[BridgePort], filter: str = ""
    ) -> AbstractContextManager[Sight]:
        """Capture at ports until the block ends; `filter` is a filter expression of tcpdump."""


def await_port(collector: Collector, id: str, *, within: float = WITHIN) -> BridgePort:
    """Wait until a collector sees a port with its MAC address and its namespace.

    The seconds that it takes are recorded as a figure.

    Args:
        collector: The collector.
        id: The port's id in Neutron.
        within: Seconds.

    Raises:
        WaitError: It does not see the port in time.
    """
    started = time.monotonic()

    def look() -> BridgePort | NotYet:
        found = collector.topology().neutron(id)
        if found is None:
            return NotYet("no such port")
        return found if found.mac and found.namespace else NotYet(repr(found))

    found = wait.until(
        f"port {id} to be seen by {collector.name}", look, timeout=within, interval=0.2
    )
    figures.record(f"{collector.name}: a port that is plugged is seen", time.monotonic() - started)
    return found


def await_gone(collector: Collector, id: str, *, within: float = WITHIN) -> None:
    """Wait until a collector no longer sees a port.

    The seconds that it takes are recorded as a figure.

    Args:
        collector: The collector.
        id: The port's id in Neutron.
        within: Seconds.

    Raises:
        WaitError: It still sees the port.
    """
    started = time.monotonic()

    def look() -> bool | NotYet:
        found = collector.topology().neutron(id)
        return found is None or NotYet(str(found))

    wait.until(f"port {id} to be gone for {collector.name}", look, timeout=within, interval=0.2)
    figures.record(f"{collector.name}: a port that goes is gone", time.monotonic() - started)


def path(collector: Collector, src: Probe, dst: Target, count: int = 3) -> list[Hop]:
    """Ping dst from src, and return the ports of src's network that the requests passed, in order.

    Args:
        collector: Where to capture.
        src: The probe that sends.
        dst: The probe or the address that receives.
        count: The number of pings.

    Raises:
        AssertionError: A ping is lost.
    """
    from pytest_kollalab.sdn.tenant.network import address_of

    address = address_of(dst)
    points = collector.topology().on_network(src.network.id)
    with collector.watch(points, f"icmp and host {src.ip} and host {address}") as sight:
        result = src.ping(dst, count)
    assert result, f"{result}\n{result.output}"
    return hops({point: sight.packets(point) for point in points}, src.ip, address)


def hops(seen: Mapping[BridgePort, Sequence[Packet]], src: str, dst: str) -> list[Hop]:
    """The ports that ping requests from src to dst passed, in order.

    Clocks of different nodes do not matter: ports are sorted by TTL, which every router lowers by
    one. Of two ports with the same TTL, the one with the packets' source MAC address is the first.
    """
    found = []
    for port, packets in seen.items():
        ours = [p for p in packets if p.is_echo_request and (p.src, p.dst) == (src, dst)]
        if ours:
            first = ours[0]
            order = (-first.ttl, first.src_mac != port.mac, first.time)
            found.append((order, Hop(port, len(ours), first.ttl)))
    return [hop for _, hop in sorted(found, key=lambda entry: entry[0])]


def flows(packets: Iterable[Packet], protocol: str) -> list[ObservedFlow]:
    """Sum up packets to flows, one for each pair of addresses."""
    counts: dict[tuple[str, str], list[int]] = {}
    for packet in packets:
        if (packet.dst, packet.src) in counts:
            counts[packet.dst, packet.src][1] += 1
        else:
            counts.setdefault((packet.src, packet.dst), [0, 0])[0] += 1
    return [ObservedFlow(protocol, a, b, there, back) for (a, b), (there, back) in counts.items()]


def differences(one: Topology, other: Topology) -> list[Difference]:
    """The differences between two topologies."""
    return list(_differences(one, other))


def _differences(one: Topology, other: Topology) -> Iterator[Difference]:
    for node in sorted(set(one.nodes) ^ set(other.nodes)):
        yield _one_sided("node", node, node in one.nodes)
    for bridge in sorted(one.bridges ^ other.bridges):
        yield _one_sided("bridge", f"{bridge.name} on {bridge.node}", bridge in one.bridges)
    left = {port.place: port for port in one.ports}
    right = {port.place: port for port in other.ports}
    for place in sorted(left.keys() ^ right.keys()):
        yield _one_sided("port", str(left.get(place) or right[place]), place in left)
    for place in sorted(left.keys() & right.keys()):
        yield from _port_differences(left[place], right[place])


def _port_differences(one: BridgePort, other: BridgePort) -> Iterator[Difference]:
    for name in ("kind", "mac", "namespace", "peer", "remote", "local"):
        if getattr(one, name) != getattr(other, name):
            yield Difference(name, str(one), str(getattr(one, name)), str(getattr(other, name)))
    if one.neutron == other.neutron:
        return
    if one.neutron is None or other.neutron is None:
        yield _one_sided("identity", str(one), one.neutron is not None)
        return
    if replace(one.neutron, addresses=()) != replace(other.neutron, addresses=()):
        yield Difference("identity", str(one), str(one.neutron), str(other.neutron))
    if one.neutron.addresses != other.neutron.addresses:
        yield Difference(
            "addresses",
            str(one),
            " ".join(one.neutron.addresses),
            " ".join(other.neutron.addresses),
        )


def _one_sided(name: str, where: str, is_left: bool) -> Difference:
    return Difference(name, where, "there" if is_left else "", "" if is_left else "there")
