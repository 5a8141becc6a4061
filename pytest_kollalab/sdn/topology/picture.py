"""The picture of a topology: the layout of its parts, and the SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from pytest_kollalab.sdn.topology.topology import PATCH, TUNNEL, BridgePort, Topology

# Bridges from top to bottom. The ports of tenants are drawn above the first.
ORDER = ("br-int", "br-tun", "br-mpls", "br-ex", "br-phy")
MARGIN, GAP, PAD = 24, 16, 12
CELL_WIDTH, CELL_HEIGHT, COLUMNS = 158, 40, 4
BRIDGE_HEIGHT, BRIDGE_GAP, TITLE = 34, 46, 30
# Room between nodes, for tunnels and their names.
BETWEEN = 150
LINE = 18
# Colours that can be distinguished with colour blindness.
NETWORKS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#7f6000", "#444444")
CHAINS = ("#b00020", "#5b2a86", "#006064", "#8a4b00")
SVG = "http://www.w3.org/2000/svg"
STYLE = """\
text { font: 12px sans-serif; fill: #222; paint-order: stroke; stroke: #fff; stroke-width: 3px;
stroke-linejoin: round } .small { font-size: 10px; fill: #555 }
.title { font-size: 15px; font-weight: bold } .node { fill: #f6f6f4; stroke: #999 }
.bridge { fill: #dfe7ee; stroke: #567 } .cell { stroke-width: 2; fill: #fff }
.patch { stroke: #567; stroke-width: 2; fill: none }
.tunnel { stroke: #333; stroke-width: 3; stroke-dasharray: 8 5; fill: none }
.chain { stroke-width: 2.5; fill: none; opacity: .8 }"""


@dataclass(frozen=True)
class DrawnChain:
    """A port chain: its name, and the ids of its ports in the order in which packets pass them."""

    name: str
    ports: tuple[str, ...]


@dataclass(frozen=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> tuple[float, float]:
        """The centre."""
        return (self.x + self.width / 2, self.y + self.height / 2)

    @property
    def free(self) -> tuple[float, float]:
        """A point near the right edge, where a port has no text."""
        return (self.x + self.width - 20, self.y + self.height / 2)

    def overlaps(self, other: Box) -> bool:
        """Whether the two rectangles have more than an edge in common."""
        return (
            self.x < other.x + other.width
            and other.x < self.x + self.width
            and self.y < other.y + other.height
            and other.y < self.y + self.height
        )

    def inside(self, other: Box) -> bool:
        """Whether it lies within the other rectangle."""
        return (
            other.x <= self.x
            and self.x + self.width <= other.x + other.width
            and other.y <= self.y
            and self.y + self.height <= other.y + other.height
        )


@dataclass
class Drawing:
    """The layout: the rectangles of nodes, bridges and ports (see `is_end`), and the size."""

    nodes: dict[str, Box] = field(default_factory=dict)
    bridges: dict[tuple[str, str], Box] = field(default_factory=dict)
    ports: dict[BridgePort, Box] = field(default_factory=dict)
    width: float = 0
    height: float = 0


def place(topology: Topology) -> Drawing:
    """Lay out a topology: a column for each node, and a row for each name of a bridge."""
    layout = Drawing()
    inner = COLUMNS * CELL_WIDTH + (COLUMNS - 1) * GAP
    nodes = sorted(topology.nodes, key=_rank_node)
    lefts = {node: MARGIN + n * (inner + 2 * PAD + BETWEEN) for n, node in enumerate(nodes)}
    y: float = MARGIN + TITLE
    for bridge in sorted({bridge.name for bridge in topology.bridges}, key=_rank_bridge):
        ends = {node: _ends(topology, node, bridge) for node in nodes}
        rows = max(-(-len(ports) // COLUMNS) for ports in ends.values())
        height = rows * (CELL_HEIGHT + GAP / 2)
        above = bridge == ORDER[0]
        for node, left in lefts.items():
            top = y + height if above else y
            if bridge in topology.bridges_of(node):
                layout.bridges[node, bridge] = Box(left + PAD, top, inner, BRIDGE_HEIGHT)
            below = top + BRIDGE_HEIGHT + GAP / 2
            _place_ends(layout, ends[node], left + PAD, y if above else below)
        y += height + BRIDGE_HEIGHT + BRIDGE_GAP
    bottom = y - BRIDGE_GAP + PAD
    for node, left in lefts.items():
        layout.nodes[node] = Box(left, MARGIN, inner + 2 * PAD, bottom - MARGIN)
        layout.width = left + inner + 2 * PAD + MARGIN
    layout.height = bottom + MARGIN
    return layout


def svg(
    topology: Topology,
    *,
    title: str,
    networks: Mapping[str, str] | None = None,
    chains: Sequence[DrawnChain] = (),
) -> str:
    """Draw a topology as SVG.

    Args:
        topology: The topology.
        title: The title of the picture.
        networks: The names of networks by their ids.
        chains: Port chains to draw.
    """
    layout = place(topology)
    names = networks or {}
    colours = _colours(topology)
    legend = list(_legend(colours, names, topology, chains))
    height = layout.height + LINE * (len(legend) + 1) + MARGIN
    size = f'width="{layout.width:g}" height="{height:g}"'
    parts = [
        f'<svg xmlns="{SVG}" {size} viewBox="0 0 {layout.width:g} {height:g}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        '<rect width="100%" height="100%" fill="#fff"/>',
        *_arrows(len(chains)),
        *(part for node, box in layout.nodes.items() for part in _node(node, box)),
        *_links(topology, layout),
        *(part for (_, name), box in layout.bridges.items() for part in _bridge(name, box)),
        *(part for port, box in layout.ports.items() for part in _cell(port, box, colours)),
        *(part for n, chain in enumerate(chains) for part in _chain(n, chain, layout)),
    ]
    for row, (colour, mark, text) in enumerate(legend):
        y = layout.height + LINE * (row + 1)
        parts += [
            f'<rect x="{MARGIN}" y="{y - 10:g}" width="22" height="{mark}" fill="{colour}"/>',
            _text(MARGIN + 30, y, text),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _ends(topology: Topology, node: str, bridge: str) -> list[BridgePort]:
    found = [port for port in topology.ports_of(node, bridge) if is_end(port)]
    return sorted(found, key=lambda p: (p.neutron.network if p.neutron else "", p.name))


def _place_ends(layout: Drawing, ends: Sequence[BridgePort], left: float, top: float) -> None:
    for number, port in enumerate(ends):
        row, column = divmod(number, COLUMNS)
        layout.ports[port] = Box(
            left + column * (CELL_WIDTH + GAP),
            top + row * (CELL_HEIGHT + GAP / 2),
            CELL_WIDTH,
            CELL_HEIGHT,
        )


def is_end(port: BridgePort) -> bool:
    """Whether a port is drawn as a rectangle; patches and tunnels are drawn as lines."""
    return port.kind not in (PATCH, TUNNEL) and port.name != port.bridge


def _rank_node(node: str) -> tuple[bool, str]:
    return (not node.startswith("controller"), node)


def _rank_bridge(bridge: str) -> tuple[int, str]:
    return (ORDER.index(bridge) if bridge in ORDER else len(ORDER), bridge)


def _colours(topology: Topology) -> dict[str, str]:
    networks = sorted({p.neutron.network for p in topology.ports if p.neutron is not None})
    return {network: NETWORKS[n % len(NETWORKS)] for n, network in enumerate(networks)}


def _legend(
    colours: Mapping[str, str],
    names: Mapping[str, str],
    topology: Topology,
    chains: Sequence[DrawnChain],
) -> Iterator[tuple[str, int, str]]:
    for network, colour in colours.items():
        ports = topology.on_network(network)
        vni = next((p.neutron.vni for p in ports if p.neutron is not None), 0)
        tunnel = f", VNI {vni}" if vni else ""
        yield colour, 10, f"network {names.get(network, network)}{tunnel}: {_counted(len(ports))}"
    for number, chain in enumerate(chains):
        yield CHAINS[number % len(CHAINS)], 4, f"chain {chain.name}"


def _counted(ports: int) -> str:
    return "1 port" if ports == 1 else f"{ports} ports"


def _node(node: str, box: Box) -> Iterator[str]:
    yield _rect(box, "node", rounded=8)
    yield _text(box.x + PAD, box.y + 20, node, "title")


def _bridge(name: str, box: Box) -> Iterator[str]:
    yield _rect(box, "bridge", rounded=4)
    yield _text(box.x + PAD, box.y + 22, name)


def _cell(port: BridgePort, box: Box, colours: Mapping[str, str]) -> Iterator[str]:
    colour = colours.get(port.neutron.network, "#999") if port.neutron is not None else "#999"
    yield _rect(box, "cell", rounded=3, stroke=colour)
    addresses = port.neutron.addresses if port.neutron is not None else ()
    first = addresses[0].partition("/")[0] if addresses else port.name
    more = f" +{len(addresses) - 1}" if len(addresses) > 1 else ""
    yield _text(box.x + 8, box.y + 16, first + more)
    yield _text(box.x + 8, box.y + 32, port.name if addresses else port.kind, "small")


def _links(topology: Topology, layout: Drawing) -> Iterator[str]:
    used: dict[str, int] = {}
    for link in topology.links():
        one = layout.bridges[link.a.node, link.a.bridge]
        other = layout.bridges[link.b.node, link.b.bridge]
        if link.kind == TUNNEL:
            left, right = sorted((one, other), key=lambda box: box.x)
            start, end = left.x + left.width, right.x
            y, far = left.middle[1], right.middle[1]
            yield f'<path class="tunnel" d="M{start:g} {y:g} L{end:g} {far:g}"/>'
            yield _text((start + end) / 2, (y + far) / 2 - 8, "tunnel", "small", anchor="middle")
            continue
        top, bottom = sorted((one, other), key=lambda box: box.y)
        number = used[link.a.node] = used.get(link.a.node, 0) + 1
        # Each line has its own place, starting from the right, where there are few ports.
        x = top.x + top.width - number * 2 * LINE
        yield f'<path class="patch" d="M{x:g} {top.y + top.height:g} L{x:g} {bottom.y:g}"/>'
        upper, lower = (link.a, link.b) if top is one else (link.b, link.a)
        names = f"{upper.name} / {lower.name}"
        y = top.y + top.height + 14 if bottom.y - top.y < 2 * BRIDGE_GAP else bottom.y - 6
        yield _text(x - 6, y, names, "small", anchor="end")


def _chain(number: int, chain: DrawnChain, layout: Drawing) -> Iterator[str]:
    boxes = {p.neutron.port: box for p, box in layout.ports.items() if p.neutron is not None}
    points = [boxes[port].free for port in chain.ports if port in boxes]
    colour = CHAINS[number % len(CHAINS)]
    shift = 6 * (number % 3 - 1)
    for step, ((x, y), (to_x, to_y)) in enumerate(pairwise(points), 1):
        # Bent upwards, so that a line along a row does not cover the ports in between.
        bend = min(y, to_y) - 14 - abs(to_x - x) / 12
        yield (
            f'<path class="chain" stroke="{colour}" marker-end="url(#arrow{number})" '
            f'd="M{x:g} {y + shift:g} Q{(x + to_x) / 2:g} {bend:g} {to_x:g} {to_y + shift:g}"/>'
        )
        middle_y = (y + 2 * bend + to_y) / 4
        yield _text((x + to_x) / 2, middle_y - 3, str(step), "small", anchor="middle")


def _arrows(chains: int) -> Iterable[str]:
    for number in range(chains):
        yield (
            f'<marker id="arrow{number}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="5" '
            f'markerHeight="5" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" '
            f'fill="{CHAINS[number % len(CHAINS)]}"/></marker>'
        )


def _rect(box: Box, kind: str, *, rounded: int, stroke: str = "") -> str:
    painted = f' stroke="{stroke}"' if stroke else ""
    return (
        f'<rect class="{kind}" x="{box.x:g}" y="{box.y:g}" width="{box.width:g}" '
        f'height="{box.height:g}" rx="{rounded}"{painted}/>'
    )


def _text(x: float, y: float, text: str, kind: str = "", *, anchor: str = "start") -> str:
    styled = f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{styled} text-anchor="{anchor}">{escape(text)}</text>'
