"""The picture of a topology as SVG, for light and dark pages and for paper."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape

from pytest_kollalab.sdn.topology import captions, sketch
from pytest_kollalab.sdn.topology.dot import placed
from pytest_kollalab.sdn.topology.layout import laid_out
from pytest_kollalab.sdn.topology.names import Names
from pytest_kollalab.sdn.topology.palette import ALL, CHAINS, INK, MUTED, NETWORKS, PAPER, style
from pytest_kollalab.sdn.topology.topology import DEAD, Topology

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
MARGIN, GAP, TITLE, LINE = 16, 10, 20, 18
# A browser that has no Arial takes what is as wide: Graphviz made room for that.
FONTS = 'text { font-family: Arial, "Liberation Sans", Arimo, Helvetica, sans-serif }'
SCREEN = "svg { max-width: 100%; height: auto }"
PRINT = "@media print { svg { width: 100%; height: auto; max-height: 100vh } }"
# The legend of a mark that most pictures do not have.
LEGEND = (
    f"red, dashed: on the dead VLAN {DEAD}. The port is disabled, not bound to its node, or not"
    " connected yet; Open vSwitch drops its packets."
)
HEAD = re.compile(r'<svg width="([\d.]+)pt" height="([\d.]+)pt"\s+viewBox="[^"]*"[^>]*>')


def svg(
    topology: Topology, *, title: str, names: Names | None = None, notes: Sequence[str] = ()
) -> str:
    """Draw a topology as SVG: nodes, bridges, ports, what is plugged in, tunnels, chains and names.

    Args:
        topology: The topology.
        title: The title of the picture.
        names: What the API calls things.
        notes: Lines below the title.

    Raises:
        HostError: pygraphviz is not installed, or cannot be loaded.
        StageError: Graphviz failed.
    """
    names = names or Names()
    networks = sorted({p.neutron.network for p in topology.ports if p.neutron is not None})
    look = sketch.Look(
        names,
        _coloured(networks, tuple(NETWORKS)),
        _coloured([chain.id for chain in names.chains], tuple(CHAINS)),
    )
    graphs = (
        sketch.graph(topology, look),
        captions.chains(topology, look),
        captions.table(topology, look),
    )
    if any(port.is_dead for port in topology.ports):
        notes = [*notes, LEGEND]
    return composed(laid_out([graph for graph in graphs if graph]), title, notes)


def composed(
    parts: Sequence[str],
    title: str = "",
    notes: Sequence[str] = (),
    colours: Mapping[str, str] = ALL,
) -> str:
    """Pictures of Graphviz, one below the other, as one picture.

    Args:
        parts: The pictures.
        title: A title to stand above them.
        notes: Lines below the title.
        colours: The colours that are exchanged in the dark.
    """
    y = float(MARGIN)
    texts = []
    if title:
        y += TITLE
        texts.append(_text(y, title, size=17, colour=INK, weight="bold"))
    for note in notes:
        y += LINE
        texts.append(_text(y, note, size=12, colour=MUTED))
    y += GAP if texts else 0
    width, drawn = 0.0, []
    for part in parts:
        head = HEAD.search(part)
        assert head is not None, "Graphviz says how large a picture is"
        wide, high = float(head[1]), float(head[2])
        body = part[head.end() : part.rindex("</svg>")]
        drawn.append(f'<g transform="translate({MARGIN} {y:g})">{_plain(body)}</g>')
        width, y = max(width, wide), y + high + GAP
    width, height = width + 2 * MARGIN, y + MARGIN - GAP
    size = f'width="{width:g}" height="{height:g}"'
    return "\n".join(
        [
            f'<svg xmlns="{SVG}" xmlns:xlink="{XLINK}" {size} viewBox="0 0 {width:g} {height:g}">',
            *([f"<title>{escape(title)}</title>"] if title else []),
            f"<style>{FONTS}\n{SCREEN}\n{PRINT}\n{style(colours)}</style>",
            f'<rect width="{width:g}" height="{height:g}" fill="{PAPER}"/>',
            *texts,
            *drawn,
            "</svg>\n",
        ]
    )


def _plain(body: str) -> str:
    """A picture of Graphviz without ids, which are those of every picture, and comments.

    Hyphens are hyphens: text that is searched for, or masked, is found.
    """
    body = re.sub(r"<!--.*?-->\n?", "", body, flags=re.DOTALL)
    body = re.sub(r' id="[^"]*"', "", body).replace("&#45;", "-")
    return placed(body)


def _text(y: float, text: str, *, size: int, colour: str, weight: str = "normal") -> str:
    return (
        f'<text x="{MARGIN}" y="{y:g}" font-size="{size}" font-weight="{weight}"'
        f' fill="{colour}">{escape(text)}</text>'
    )


def _coloured(ids: Sequence[str], colours: Sequence[str]) -> dict[str, str]:
    return {each: colours[number % len(colours)] for number, each in enumerate(ids)}
