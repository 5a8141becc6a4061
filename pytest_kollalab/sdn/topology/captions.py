"""What stands below a topology: its chains as rows of boxes, and a table of names and ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_kollalab.sdn.topology.chains import Chained
from pytest_kollalab.sdn.topology.dot import (
    FONT,
    HIGH,
    MORE,
    SIZE,
    Row,
    box,
    cell,
    edge,
    heading,
    quoted,
    room,
    vertex,
)
from pytest_kollalab.sdn.topology.ends import ROUTER, SERVER, SERVER_FUNCTION, End, ends
from pytest_kollalab.sdn.topology.palette import FRAME, PAPER
from pytest_kollalab.sdn.topology.sketch import Look, ordered
from pytest_kollalab.sdn.topology.topology import Topology

# Letters in a line of a name in a box, and of names and details in the table.
WIDTH, NAME, DETAILS = 24, 50, 60


def chains(topology: Topology, look: Look) -> str:
    """The graph of all port chains, from source to target; empty if there are none."""
    if not look.names.chains:
        return ""
    found = {
        port.neutron.port: end
        for node in topology.nodes
        for end in ends(topology, look.names, node)
        for port in end.ports
        if port.neutron is not None
    }
    body = [
        'graph [rankdir=LR, splines=line, nodesep=0.15, ranksep="0.45", pad="0.1", bgcolor="none"]',
        f"node [shape=plain, fontname={FONT}]",
        "edge [arrowsize=0.8]",
    ]
    for chain in look.names.chains:
        body += _chain(chain, found, look)
    return "\n".join(["digraph chains {", *body, "}"])


def _chain(chain: Chained, found: dict[str, End], look: Look) -> Iterator[str]:
    colour = look.chains[chain.id]
    both = ", both ways" if chain.symmetric else ""
    title = heading([[(chain.name, True), (f"chain {chain.id}{both}", False)]], SIZE)
    yield f"subgraph {quoted('cluster ' + chain.id)} {{"
    yield (
        f"graph [label={title}, labeljust=l, fontname={FONT}, style=rounded,"
        f" color={quoted(colour)}, fontcolor={quoted(colour)}, margin=8]"
    )
    columns: list[dict[str, list[Row]]] = [
        {each.source: _end(each.source, found, each.what) for each in chain.traffic}
    ]
    for step in chain.steps:
        columns.append({" ".join(pair): _pair(pair, found) for pair in step})
    columns.append({each.target: _end(each.target, found, "") for each in chain.traffic})
    filled = [column for column in columns if column]
    for number, column in enumerate(filled):
        for what, rows in column.items():
            name = f"{chain.name} {number}: {what}"
            yield vertex(name, box(rows, border=colour, fill=PAPER, width=120), "hop")
            for before in filled[number - 1] if number else ():
                tail = quoted(f"{chain.name} {number - 1}: {before}")
                arrow = "both" if chain.symmetric else "forward"
                line = edge(f"{tail}:e", f"{quoted(name)}:w", colour, "chain", width=1.8)
                yield f"{line[:-1]}, dir={arrow}]"
    yield "}"


def _end(id: str, found: dict[str, End], what: str) -> list[Row]:
    end = found.get(id)
    rows = [Row(end.name if end else id, bold=True, width=WIDTH)]
    if end is not None:
        rows.append(Row(f"{end.kind} on {end.node}", muted=True))
        rows += [Row(port.name) for port in end.ports if port.neutron and port.neutron.port == id]
    return [*rows, Row(what)] if what else rows


def _pair(pair: tuple[str, str], found: dict[str, End]) -> list[Row]:
    end = found.get(pair[0]) or found.get(pair[1])
    if end is None:
        return [Row("a function that is not plugged in", width=WIDTH), Row(pair[0], muted=True)]
    rows = [Row(end.name, bold=True, width=WIDTH), Row(f"{end.kind} on {end.node}", muted=True)]
    names = {port.neutron.port: port.name for port in end.ports if port.neutron is not None}
    if pair[0] == pair[1]:
        return [*rows, Row(f"in/out {names[pair[0]]}")]
    sides = zip(("in", "out"), pair, strict=True)
    return [*rows, *(Row(f"{side} {names.get(port, port)}") for side, port in sides)]


def table(topology: Topology, look: Look) -> str:
    """The graph of one table: networks, servers, routers and VPNs with their ids; or empty.

    What is in a VPN is named.
    """
    rows = [*_networks(topology, look), *_plugged(topology, look), *_vpns(look)]
    if not rows:
        return ""
    widths = [
        max(room(line, row.size, bold=row.bold) for row in column for line in row.lines)
        for column in zip(*rows, strict=True)
    ]
    body = "".join(_lines(row, widths) for row in rows)
    label = (
        f'<<TABLE BORDER="1" COLOR="{FRAME}" STYLE="ROUNDED" CELLBORDER="0" CELLSPACING="0"'
        f' CELLPADDING="0">{body}</TABLE>>'
    )
    return (
        f'digraph names {{ graph [pad="0.1", bgcolor="none"] node [shape=plain, fontname={FONT}]'
        f" {vertex('names', label, 'names')} }}"
    )


def _lines(row: Sequence[Row], widths: Sequence[int]) -> str:
    """The lines of one row of the table."""
    found = []
    for number in range(max(len(each.lines) for each in row)):
        height = MORE if number else HIGH
        found.append("<TR>")
        for each, wide in zip(row, widths, strict=True):
            text = each.lines[number] if number < len(each.lines) else ""
            found.append(cell(each.shown(text), wide, height))
        found.append("</TR>")
    return "".join(found)


def _row(kind: str, name: str, details: str, id: str, colour: str = "") -> list[Row]:
    named = Row(name, bold=True, width=NAME)
    return [Row(kind, colour=colour), named, Row(details, width=DETAILS), Row(id, muted=True)]


def _networks(topology: Topology, look: Look) -> Iterator[list[Row]]:
    for network, colour in look.networks.items():
        ports = topology.on_network(network)
        vni = next((p.neutron.vni for p in ports if p.neutron is not None), 0)
        counted = "1 port" if len(ports) == 1 else f"{len(ports)} ports"
        details = f"VNI {vni}, {counted}" if vni else counted
        yield _row("network", look.names.networks.get(network, ""), details, network, colour)


def _plugged(topology: Topology, look: Look) -> Iterator[list[Row]]:
    for node in ordered(topology):
        for end in ends(topology, look.names, node):
            if end.kind in (SERVER, SERVER_FUNCTION, ROUTER):
                kind = ROUTER if end.kind == ROUTER else SERVER
                yield _row(kind, end.name, f"on {node}", end.id)


def _vpns(look: Look) -> Iterator[list[Row]]:
    names = look.names
    for vpn in names.vpns:
        joined = (
            names.networks.get(member)
            or names.routers.get(member)
            or (names.ports[member].name if member in names.ports else member)
            for member in vpn.members
        )
        said = [vpn.kind, f"of {_listed(list(joined))}"]
        if set(vpn.imports) == set(vpn.exports):
            said.append(f"targets {_listed(vpn.imports)}")
        else:
            said += [f"imports {_listed(vpn.imports)}", f"exports {_listed(vpn.exports)}"]
        yield _row("VPN", vpn.name, ", ".join(said), vpn.id)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(words) or "nothing"
