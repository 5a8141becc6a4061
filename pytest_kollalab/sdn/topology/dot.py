"""Words of Graphviz's language: vertices that are tables, edges, and quoted text."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from pytest_kollalab.sdn.topology.palette import INK, MUTED

FONT = '"Arial"'


@dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        text: Its text.
        port: A name by which edges find it.
        bold: Whether the text is bold.
        muted: Whether the text is of less importance.
        colour: The colour of the text.
        width: The characters in a line at most; 0 for any number.
        height: The height in pixels at least.
    """

    text: str
    port: str = ""
    bold: bool = False
    muted: bool = False
    colour: str = ""
    width: int = 0
    height: int = 0


def quoted(text: str) -> str:
    """A text as a name."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def lines(text: str, width: int) -> str:
    """A text as a label, in lines of at most so many characters."""
    return f"<{_lines(text, width)}>"


def _lines(text: str, width: int) -> str:
    parts = textwrap.wrap(text, width) if width else [text]
    return '<BR ALIGN="LEFT"/>'.join(f"&#160;{escape(part)}&#160;" for part in parts or [""])


def box(rows: Sequence[Row], *, border: str, fill: str, width: int = 0) -> str:
    """A label with a row below the other in a frame, which is at least so many pixels wide."""
    cells = "".join(f"<TR>{_cell(row, width)}</TR>" for row in rows)
    return (
        f'<<TABLE BORDER="1" COLOR="{border}" BGCOLOR="{fill}" STYLE="ROUNDED" CELLBORDER="0"'
        f' CELLSPACING="0" CELLPADDING="2">{cells}</TABLE>>'
    )


def _cell(row: Row, width: int) -> str:
    text = _lines(row.text, row.width)
    if row.bold:
        text = f"<B>{text}</B>"
    size = 11 if row.muted or row.colour else 12
    colour = row.colour or (MUTED if row.muted else INK)
    port = f' PORT="{escape(row.port)}"' if row.port else ""
    size_given = f' WIDTH="{width}" HEIGHT="{row.height}"'
    return (
        f'<TD ALIGN="LEFT" BALIGN="LEFT"{port}{size_given}>'
        f'<FONT COLOR="{colour}" POINT-SIZE="{size}">{text}</FONT></TD>'
    )


def vertex(name: str, label: str, kind: str) -> str:
    """A vertex; its kind becomes a class in the SVG."""
    return f"{quoted(name)} [label={label}, class={quoted(kind)}]"


def edge(
    tail: str, head: str, colour: str, kind: str, *, width: float = 1.2, dashed: bool = False
) -> str:
    """An edge; its kind becomes a class in the SVG."""
    style = ", style=dashed" if dashed else ""
    return f"{tail} -> {head} [color={quoted(colour)}, penwidth={width}, class={kind}{style}]"
