"""Words of Graphviz's language: vertices that are tables, edges, and quoted text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil

from pytest_kollalab.sdn.topology.letters import width as width_of
from pytest_kollalab.sdn.topology.letters import wrapped
from pytest_kollalab.sdn.topology.palette import INK, MUTED

FONT = '"Arial"'
SIZE, SMALL, LARGE = 12, 11, 15
# How far below the middle of a cell letters stand, in parts of their size.
BELOW = 0.36
# The ground of each cell, by which `placed` finds it.
CELL = "#fefe01"
# Pixels: the height of a row and of each more line in it, and the room on each side of a text.
HIGH, MORE, BESIDE = 18, 13, 5
# Other fonts are a little wider.
SLACK = 1.04


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        text: Its text.
        port: A name by which edges find it.
        bold: Whether the text is bold.
        muted: Whether the text is of less importance.
        colour: The colour of the text.
        width: The letters in a line at most; 0 for any number.
        height: The height in pixels at least.
    """

    text: str
    port: str = ""
    bold: bool = False
    muted: bool = False
    colour: str = ""
    width: int = 0
    height: int = 0

    @property
    def size(self) -> int:
        """The size of its font."""
        return SMALL if self.muted or self.colour else SIZE

    @property
    def lines(self) -> list[str]:
        """Its text in lines."""
        return wrapped(self.text, self.width)

    def shown(self, line: str) -> str:
        """One of its lines, as it is shown in a cell."""
        if not line:
            return ""
        text = f"<B>{escape(line)}</B>" if self.bold else escape(line)
        colour = self.colour or (MUTED if self.muted else INK)
        return f'<FONT COLOR="{colour}" POINT-SIZE="{self.size}">{text}</FONT>'


def quoted(text: str) -> str:
    """A text as a name."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def high(rows: Sequence[Row]) -> int:
    """The height of rows in a box, in pixels."""
    return sum(HIGH + MORE * (len(row.lines) - 1) for row in rows)


def box(rows: Sequence[Row], *, border: str, fill: str, width: int = 0) -> str:
    """A label with a row below the other in a frame, which is at least so many pixels wide."""
    needed = (room(line, row.size, bold=row.bold) for row in rows for line in row.lines)
    wide = max((width, *needed))
    cells = "".join(_cells(row, wide) for row in rows)
    return (
        f'<<TABLE BORDER="1" COLOR="{border}" BGCOLOR="{fill}" STYLE="ROUNDED" CELLBORDER="0"'
        f' CELLSPACING="0" CELLPADDING="0">{cells}</TABLE>>'
    )


def room(text: str, size: int, *, bold: bool = False) -> int:
    """The pixels that a text needs in a cell."""
    return ceil(width_of(text, size, bold=bold) * SLACK) + 2 * BESIDE


def _cells(row: Row, wide: int) -> str:
    """A cell for each line of a row; the first one has the row's port."""
    found = []
    for number, line in enumerate(row.lines):
        port = f' PORT="{escape(row.port)}"' if row.port and not number else ""
        height = MORE if number else max(HIGH, row.height)
        found.append(f"<TR>{cell(row.shown(line), wide, height, port)}</TR>")
    return "".join(found)


def cell(content: str, wide: int, height: int, more: str = "") -> str:
    """A cell of that size, in pixels, with its text on the left."""
    size = f'FIXEDSIZE="TRUE" WIDTH="{wide}" HEIGHT="{height}" BGCOLOR="{CELL}"'
    return f'<TD ALIGN="LEFT" {size}{more}>{content}</TD>'


def heading(lines: Sequence[Sequence[tuple[str, bool]]], size: int) -> str:
    """The label of a frame.

    Args:
        lines: For each line, texts and whether they are bold.
        size: The size of the font.
    """
    rows = []
    for line in lines:
        cells = []
        for text, bold in line:
            letters = f"<B>{escape(text)}</B>" if bold else escape(text)
            font = f'<FONT POINT-SIZE="{size}">{letters}</FONT>'
            cells.append(cell(font, room(text, size, bold=bold), size + 3))
        rows.append(f"<TR>{''.join(cells)}</TR>")
    body = "".join(rows)
    return f'<<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="0">{body}</TABLE>>'


def placed(picture: str) -> str:
    """A picture of Graphviz with each text in its cell.

    Graphviz is told how large cells are, and places them. Where in its cell a text stands it tells
    from the host's fonts, of which there may be none.
    """
    return re.sub(
        rf'<polygon fill="{CELL}" stroke="[^"]*" points="([^"]*)"/>\n(?:<text ([^>]*)>)?',
        _placed,
        picture,
    )


def _placed(found: re.Match[str]) -> str:
    if found[2] is None:
        return ""
    points = [point.split(",") for point in found[1].split()]
    left = min(float(x) for x, _ in points)
    heights = [float(y) for _, y in points]
    size = re.search(r'font-size="([\d.]+)"', found[2])
    assert size is not None, "Graphviz says how large a text is"
    y = (min(heights) + max(heights)) / 2 + BELOW * float(size[1])
    given = re.sub(r'\by="[^"]*"', f'y="{y:.2f}"', found[2])
    given = re.sub(r'\bx="[^"]*"', f'x="{left + BESIDE:.2f}"', given)
    return f"<text {given}>"


def vertex(name: str, label: str, kind: str) -> str:
    """A vertex; its kind becomes a class in the SVG."""
    return f"{quoted(name)} [label={label}, class={quoted(kind)}]"


def edge(
    tail: str, head: str, colour: str, kind: str, *, width: float = 1.2, dashed: bool = False
) -> str:
    """An edge; its kind becomes a class in the SVG."""
    style = ", style=dashed" if dashed else ""
    return f"{tail} -> {head} [color={quoted(colour)}, penwidth={width}, class={kind}{style}]"
