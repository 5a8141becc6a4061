"""The graph of a topology, in Graphviz's language: nodes, their bridges, and what is plugged in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_kollalab.sdn.topology.chains import Chained
from pytest_kollalab.sdn.topology.dot import (
    FONT,
    LARGE,
    SMALL,
    Row,
    box,
    edge,
    heading,
    high,
    quoted,
    vertex,
)
from pytest_kollalab.sdn.topology.ends import SERVER, SERVER_FUNCTION, End, ends, is_plugged
from pytest_kollalab.sdn.topology.letters import wrapped
from pytest_kollalab.sdn.topology.names import Names
from pytest_kollalab.sdn.topology.palette import BRIDGE, FRAME, INK, LINE, NODE, PAPER
from pytest_kollalab.sdn.topology.palette import DEAD as DEAD_COLOUR
from pytest_kollalab.sdn.topology.palette import TUNNEL as TUNNEL_COLOUR
from pytest_kollalab.sdn.topology.topology import (
    DEAD,
    FLOW,
    PATCH,
    TUNNEL,
    BridgePort,
    Link,
    Topology,
)

# Bridges from the tenants' side to the world's.
ORDER = ("br-int", "br-tun", "br-mpls", "br-ex", "br-phy")
# Characters in a line of a name.
WIDTH = 24
# Pixels: the widths of what is plugged in and of outer bridges, the room between boxes, and the
# height of a network's name.
END, OUTER, APART, HEADING = 152, 96, 9, 36


@dataclass(frozen=True)
class Look:
    """How things are shown: the names, and the colours of networks and chains by their ids."""

    names: Names
    networks: Mapping[str, str]
    chains: Mapping[str, str]

    def of(self, port: BridgePort) -> str:
        """The colour of a port's network, or that of a line."""
        return LINE if port.neutron is None else self.networks.get(port.neutron.network, LINE)


def ordered(topology: Topology) -> list[str]:
    """The nodes: the controller is the first, on the left; the others are on the right."""
    return sorted(topology.nodes, key=lambda node: (not node.startswith("controller"), node))


def graph(topology: Topology, look: Look) -> str:
    """The graph of a topology."""
    nodes = ordered(topology)
    body = [
        "graph [rankdir=LR, newrank=true, splines=line, nodesep=0.1, ranksep=0.6, pad=0.1]",
        'graph [bgcolor="none"]',
        f"node [shape=plain, fontname={FONT}]",
        "edge [dir=none]",
    ]
    for number, node in enumerate(nodes):
        body += _node(topology, node, look, on_left=number == 0)
    body += _tunnels(topology, nodes[:1])
    return "\n".join(["digraph topology {", *body, "}"])


def _node(topology: Topology, node: str, look: Look, *, on_left: bool) -> Iterator[str]:
    plugged = ends(topology, look.names, node)
    yield f"subgraph {quoted('cluster ' + node)} {{"
    yield (
        f"graph [label={heading([[(node, True)]], LARGE)}, labeljust=l, fontname={FONT}, margin=10,"
        f' style="rounded,filled", color={quoted(FRAME)}, fillcolor={quoted(NODE)},'
        f" fontcolor={quoted(INK)}]"
    )
    bridges = sorted(topology.bridges_of(node), key=_rank)
    for bridge in bridges:
        yield _bridge(topology.ports_of(node, bridge), node, bridge, _heights(plugged, look))
    outer = [quoted(f"{node} {bridge}") for bridge in bridges if bridge != ORDER[0]]
    if outer:
        yield f"{{ rank=same; {'; '.join(outer)} }}"
    yield from _grouped(plugged, look)
    yield "}"
    for end in plugged:
        for port in end.ports:
            yield _plug(end, port, look.of(port), on_left=on_left)
    joined = set()
    for link in topology.links():
        if link.kind == PATCH and link.a.node == node:
            joined |= {link.a.bridge, link.b.bridge}
            yield _patch(link, on_left=on_left)
    if ORDER[0] in bridges:
        for bridge in bridges:
            if bridge not in joined | {ORDER[0]}:
                # Beside the others, though nothing connects it.
                pair = [quoted(f"{node} {each}") for each in (ORDER[0], bridge)]
                yield f"{' -> '.join(pair if on_left else pair[::-1])} [style=invis]"


def _grouped(plugged: Sequence[End], look: Look) -> Iterator[str]:
    """The ends, those of one network in a frame with its name."""
    done: set[str] = set()
    for end in plugged:
        alone = len(end.networks) != 1
        network = "" if alone else next(iter(end.networks))
        if alone:
            yield _end(end, look)
        elif network not in done:
            done.add(network)
            inside = [each for each in plugged if each.networks == {network}]
            colour = look.networks.get(network, LINE)
            name = look.names.networks.get(network, network)
            vni = next((p.neutron.vni for e in inside for p in e.ports if p.neutron), 0)
            text = f"{name}, VNI {vni}" if vni else name
            label = [[(line, False)] for line in wrapped(text, WIDTH + 4)]
            yield f"subgraph {quoted(f'cluster {end.node} {network}')} {{"
            yield (
                f"graph [label={heading(label, SMALL)}, labeljust=l, fontname={FONT},"
                f" margin=6, style=rounded, color={quoted(colour)}, fontcolor={quoted(colour)}]"
            )
            for each in inside:
                yield _end(each, look)
            yield "}"


def _end(end: End, look: Look) -> str:
    colour = look.of(end.ports[0])
    return vertex(
        _called(end), box(_rows(end, look), border=colour, fill=PAPER, width=END), end.kind
    )


def _rows(end: End, look: Look) -> list[Row]:
    short = f" {end.id[:8]}" if end.kind in (SERVER, SERVER_FUNCTION) else ""
    rows = [Row(end.name, bold=True, width=WIDTH), Row(end.kind + short, muted=True)]
    for number, port in enumerate(end.ports):
        known = port.addresses if port.neutron is None else port.neutron.addresses
        addresses = [address.partition("/")[0] for address in known] or [port.mac or port.name]
        text = " ".join((_role(port, look.names), ", ".join(addresses))).strip()
        rows.append(Row(text, port=f"p{number}", width=WIDTH))
        if port.is_dead:
            rows.append(Row(f"dead VLAN {DEAD}", colour=DEAD_COLOUR, width=WIDTH))
    for chain in look.names.chains:
        for said in _part(end, chain):
            rows.append(Row(f"{said} of {chain.name}", colour=look.chains[chain.id], width=WIDTH))
    return rows


def _heights(plugged: Sequence[End], look: Look) -> dict[tuple[str, str, str], int]:
    """The heights of ports in their bridges, by place: what is plugged in is beside its port."""
    found = {}
    networks: frozenset[str] | None = None
    for end in plugged:
        above = HEADING if end.networks and end.networks != networks else 0
        networks = end.networks
        for port in end.ports:
            found[port.place] = (high(_rows(end, look)) + APART + above) // len(end.ports)
    return found


def _role(port: BridgePort, names: Names) -> str:
    """Whether packets of a chain come in or go out here."""
    if port.neutron is None:
        return ""
    mine = port.neutron.port
    pairs = [pair for chain in names.chains for step in chain.steps for pair in step]
    comes, goes = (any(pair[n] == mine for pair in pairs) for n in (0, 1))
    return "in/out" if comes and goes else "in" if comes else "out" if goes else ""


def _part(end: End, chain: Chained) -> Iterator[str]:
    """What an end is in a chain: its source, its target, or which step."""
    ids = {port.neutron.port for port in end.ports if port.neutron is not None}
    if any(each.source in ids for each in chain.traffic):
        yield "source"
    for number, step in enumerate(chain.steps, 1):
        if any(ids & set(pair) for pair in step):
            yield f"step {number}"
    if any(each.target in ids for each in chain.traffic):
        yield "target"


def _called(end: End) -> str:
    """The name of an end's vertex: unique, and what a browser shows when one points at it."""
    ports = ", ".join(port.neutron.port if port.neutron else port.name for port in end.ports)
    return f"{end.kind} {end.name} {end.id} on {end.node}; {ports}"


def _bridge(
    ports: Sequence[BridgePort],
    node: str,
    bridge: str,
    heights: Mapping[tuple[str, str, str], int],
) -> str:
    place = {each: number for number, each in enumerate(heights)}
    is_inner = bridge == ORDER[0]
    order = sorted(
        (port for port in ports if port.name != port.bridge),
        key=lambda port: (
            is_plugged(port) is not is_inner,
            place.get(port.place, len(place)),
            # What leads to the bridge below is the last, what leads to the one above the first.
            _side(port),
            port.name,
        ),
    )
    rows = [Row(bridge, bold=True)]
    rows += [
        Row(
            f"{port.name}, dead VLAN" if port.is_dead else port.name,
            port=_place(port),
            muted=not is_plugged(port),
            colour=DEAD_COLOUR if port.is_dead else "",
            height=heights.get(port.place, 0),
        )
        for port in order
    ]
    width = 0 if is_inner else OUTER
    label = box(rows, border=LINE, fill=BRIDGE, width=width)
    return vertex(f"{node} {bridge}", label, "bridge")


def _side(port: BridgePort) -> int:
    if port.bridge == "br-mpls":
        return -1 if "tun" in port.name else "int" in port.name
    return int("mpls" in port.name)


def _place(port: BridgePort) -> str:
    """The name of a port in its bridge's box; Graphviz reads a colon as a compass point."""
    return port.name.replace(":", "_")


def _at(port: BridgePort, side: str) -> str:
    return f"{quoted(f'{port.node} {port.bridge}')}:{quoted(_place(port))}:{side}"


def _plug(end: End, port: BridgePort, colour: str, *, on_left: bool) -> str:
    number = end.ports.index(port)
    mine = f"{quoted(_called(end))}:p{number}"
    colour = DEAD_COLOUR if port.is_dead else colour
    if on_left:
        return edge(f"{mine}:e", _at(port, "w"), colour, "plug", dashed=port.is_dead)
    return edge(_at(port, "e"), f"{mine}:w", colour, "plug", dashed=port.is_dead)


def _patch(link: Link, *, on_left: bool) -> str:
    inner, outer = sorted((link.a, link.b), key=lambda port: _rank(port.bridge))
    if inner.bridge != ORDER[0]:
        # Two bridges that stand above each other.
        below = f"{quoted(f'{outer.node} {outer.bridge}')}:n"
        return edge(_at(inner, "s"), below, LINE, "patch", width=2)
    if on_left:
        return edge(_at(inner, "e"), _at(outer, "w"), LINE, "patch", width=2)
    return edge(_at(outer, "e"), _at(inner, "w"), LINE, "patch", width=2)


def _tunnels(topology: Topology, left: Sequence[str]) -> Iterator[str]:
    """Every tunnel as a box between the nodes, with a line to each of its ends."""
    found: dict[str, list[BridgePort]] = {}
    for link in topology.links():
        if link.kind == TUNNEL:
            name = _by_flow(link.a)
            if FLOW not in (link.a.remote, link.b.remote):
                one, other = (link.a, link.b) if link.a.node in left else (link.b, link.a)
                name = f"tunnel {one.local} - {other.local}"
            for port in (link.a, link.b):
                if port not in found.setdefault(name, []):
                    found[name].append(port)
    joined = {port for ports in found.values() for port in ports}
    for port in topology.ports:
        if port.kind == TUNNEL and port not in joined:
            far = f"tunnel to {port.remote}, which is not in the picture"
            found[_by_flow(port) if port.remote == FLOW else far] = [port]
    for name, ports in found.items():
        yield vertex(name, box([Row(name, width=20)], border=TUNNEL_COLOUR, fill=PAPER), "tunnel")
        for port in ports:
            if port.node in left:
                yield edge(
                    _at(port, "e"), f"{quoted(name)}:w", TUNNEL_COLOUR, "tunnel", dashed=True
                )
            else:
                yield edge(
                    f"{quoted(name)}:e", _at(port, "w"), TUNNEL_COLOUR, "tunnel", dashed=True
                )


def _by_flow(port: BridgePort) -> str:
    return f"tunnels of {port.bridge}: to the node that a flow says"


def _rank(bridge: str) -> tuple[int, str]:
    return (ORDER.index(bridge) if bridge in ORDER else len(ORDER), bridge)
