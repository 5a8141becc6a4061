"""The widths of letters: those of Helvetica, which Arial and Liberation Sans are made to have too.

Graphviz would measure with the host's fonts, of which a server often has none.
"""

from __future__ import annotations

import textwrap

# In thousandths of the font's size, from the space on to the tilde.
PLAIN = """
278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278
556 556 556 556 556 556 556 556 556 556 278 278 584 584 584 556
1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778
667 778 722 667 611 722 667 944 667 667 611 278 278 278 469 556
333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556
556 556 333 500 278 556 500 722 500 500 500 334 260 334 584
"""
BOLD = """
278 333 474 556 556 889 722 238 333 333 389 584 278 333 278 278
556 556 556 556 556 556 556 556 556 556 333 333 584 584 584 611
975 722 722 722 722 667 611 778 722 278 556 722 611 833 722 778
667 778 722 667 611 722 667 944 667 667 611 333 278 333 584 556
333 556 611 556 611 556 333 611 611 278 278 556 278 889 611 611
611 611 389 556 333 611 556 778 556 556 500 389 280 389 584
"""
WIDTHS = {bold: [int(each) for each in (BOLD if bold else PLAIN).split()] for bold in (True, False)}
# Of letters that are not in the table, which may be as wide as they are high.
OTHER = 1000


def width(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a text in pixels, in a font of that many pixels."""
    known = WIDTHS[bold]
    return sum(known[ord(c) - 32] if " " <= c <= "~" else OTHER for c in text) * size / 1000


def wrapped(text: str, letters: int) -> list[str]:
    """A text in lines of at most so many letters; 0 for one line."""
    return (textwrap.wrap(text, letters) if letters else None) or [text]
