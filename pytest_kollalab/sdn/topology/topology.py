"""The topology: nodes, bridges, ports and links as a collector sees them, and what passes by."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from pytest_kollalab.sdn import figures
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.capture.packets import Packet
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Target

# What a port can be: the end of a patch, of a tunnel, a device of Open vSwitch's own, or one of
# the kernel's that was plugged in.
PATCH, TUNNEL, INTERNAL, DEVICE = "patch", "tunnel", "internal", "device"
# Seconds after a change after which it is hopeless that a collector tells of it.
WITHIN = 30.0
TUNNELS = frozenset({"vxlan", "gre", "geneve", "stt", "gtpu", "lisp"})


@dataclass(frozen=True, order=True)
class Identity:
    """What a port is to Neutron: ids of port and network, `vni`, and addresses with prefix."""

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
    """A port of a bridge. `namespace` is where its device is, "" for the node itself.

    `peer` is the port at the other end of a patch, `remote` the address at that of a tunnel.
    `neutron` is there for the ports that Neutron knows.
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

    def __str__(self) -> str:
        return f"{self.name} of {self.bridge} on {self.node}"

    @property
    def place(self) -> tuple[str, str, str]:
        """Where it is: node, bridge and name; two ports of one topology differ in it."""
        return (self.node, self.bridge, self.name)


@dataclass(frozen=True)
class Link:
    """Two ports that pass packets on to each other: the ends of a patch or of a tunnel."""

    kind: str
    a: BridgePort
    b: BridgePort


@dataclass(frozen=True)
class Difference:
    """Something that two topologies do not say alike; `name` is the way in which they differ."""

    name: str
    where: str
    one: str
    other: str

    def __str__(self) -> str:
        return f"{self.name}: {self.where}: {self.one or 'nothing'} / {self.other or 'nothing'}"


@dataclass(frozen=True)
class Topology:
    """What is there at one moment. `addresses` are those of the nodes, by which tunnels go."""

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
        """The port that has this id in Neutron."""
        found = (p for p in self.ports if p.neutron is not None and p.neutron.port == port)
        return next(found, None)

    def on_network(self, network: str) -> tuple[BridgePort, ...]:
        """The ports of a network of Neutron, by its id."""
        return tuple(
            p for p in self.ports if p.neutron is not None and p.neutron.network == network
        )

    def patches(self, node: str) -> set[frozenset[str]]:
        """The pairs of bridges of a node that patch ports join."""
        return {
            frozenset((link.a.bridge, link.b.bridge))
            for link in self.links()
            if link.kind == PATCH and link.a.node == node
        }

    def links(self) -> tuple[Link, ...]:
        """Every patch and every tunnel, once; of a tunnel whose far end is here, both ends."""
        found: dict[frozenset[tuple[str, str, str]], Link] = {}
        by_name = {(port.node, port.name): port for port in self.ports if port.kind == PATCH}
        for port in self.ports:
            if port.kind == PATCH and (far := by_name.get((port.node, port.peer))) is not None:
                found.setdefault(frozenset((port.place, far.place)), Link(PATCH, port, far))
        tunnels = [port for port in self.ports if port.kind == TUNNEL]
        for near in tunnels:
            # Neutron makes a port for each other node: between two nodes there is one pair.
            for far in tunnels:
                if near.node < far.node and near.bridge == far.bridge:
                    found.setdefault(frozenset((near.place, far.place)), Link(TUNNEL, near, far))
        return tuple(found.values())


@dataclass(frozen=True)
class ObservedFlow:
    """What passed a point between two addresses: packets from `a` to `b`, and back."""

    protocol: str
    a: str
    b: str
    forward: int
    back: int

    def between(self, one: str, other: str) -> tuple[int, int]:
        """The packets from one address to the other, and back; none when it is of others."""
        if (self.a, self.b) == (one, other):
            return (self.forward, self.back)
        return (self.back, self.forward) if (self.b, self.a) == (one, other) else (0, 0)


@dataclass(frozen=True)
class Hop:
    """A port that packets passed, how many did, and the TTL they had."""

    port: BridgePort
    packets: int
    ttl: int


class Sight(Protocol):
    """What passes some points while a block runs; complete when it has ended."""

    def flows(self, point: BridgePort) -> Sequence[ObservedFlow]:
        """What passed a point, by pairs of addresses."""

    def packets(self, point: BridgePort) -> Sequence[Packet]:
        """The packets that passed a point, in order."""


class Collector(Protocol):
    """Whoever can tell what the network really is: Skydive, or the nodes themselves."""

    name: str

    def topology(self) -> Topology:
        """What is there now."""

    def watch(
        self, points: Iterable[BridgePort], filter: str = ""
    ) -> AbstractContextManager[Sight]:
        """Look at points until the block ends; `filter` is in tcpdump's language."""


def await_port(collector: Collector, id: str, *, within: float = WITHIN) -> BridgePort:
    """Wait until a port of Neutron is seen whole, in its namespace. Raises WaitError.

    The seconds enter the figures of the run, as those of `await_gone` do.
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
    """Wait until a port of Neutron is not seen any more. Raises WaitError."""
    started = time.monotonic()

    def look() -> bool | NotYet:
        found = collector.topology().neutron(id)
        return found is None or NotYet(str(found))

    wait.until(f"port {id} to be gone for {collector.name}", look, timeout=within, interval=0.2)
    figures.record(f"{collector.name}: a port that goes is gone", time.monotonic() - started)


def path(collector: Collector, src: Probe, dst: Target, count: int = 3) -> list[Hop]:
    """The ports that pings from src to dst passed, in order, the first and the last included.

    Every port of src's network is looked at. Raises AssertionError when a ping is lost.
    """
    from pytest_kollalab.sdn.tenant.network import address_of

    address = address_of(dst)
    points = collector.topology().on_network(src.network.id)
    with collector.watch(points, f"icmp and host {src.ip} and host {address}") as sight:
        result = src.ping(dst, count)
    assert result, f"{result}\n{result.output}"
    return hops({point: sight.packets(point) for point in points}, src.ip, address)


def hops(seen: Mapping[BridgePort, Sequence[Packet]], src: str, dst: str) -> list[Hop]:
    """The ports that requests from src to dst passed, in order, without a common clock.

    Whoever routes lowers the TTL by one; of two ports that saw the same TTL, the one whose own
    MAC the packets bear is where they came from.
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
    """Packets added up to flows, one for each pair of addresses."""
    counts: dict[tuple[str, str], list[int]] = {}
    for packet in packets:
        if (packet.dst, packet.src) in counts:
            counts[packet.dst, packet.src][1] += 1
        else:
            counts.setdefault((packet.src, packet.dst), [0, 0])[0] += 1
    return [ObservedFlow(protocol, a, b, there, back) for (a, b), (there, back) in counts.items()]


def differences(one: Topology, other: Topology) -> list[Difference]:
    """What two topologies do not say alike, each with the name of the way in which."""
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
    for name in ("kind", "mac", "namespace", "peer", "remote"):
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
