"""Draws the pictures of the documentation: `python docs/pictures.py`, from the repository."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS.parent))

from pytest_kollalab.sdn.topology.layout import laid_out  # noqa: E402
from pytest_kollalab.sdn.topology.palette import DARK, NETWORKS  # noqa: E402
from pytest_kollalab.sdn.topology.picture import composed, svg  # noqa: E402
from tests.recorded import lab  # noqa: E402

# The grounds of the architecture's boxes, and what they are in the dark.
GROUNDS = {"#ddf4ff": "#0c2d4a", "#fff8c5": "#3b2f05", "#dafbe1": "#0b3520"}


def architecture() -> str:
    """The picture of the architecture."""
    graph = (DOCS / "architecture.dot").read_text(encoding="utf-8")
    return composed(laid_out([graph]), colours={**DARK, **NETWORKS, **GROUNDS})


def recorded() -> str:
    """The picture of the recorded lab, as `kollalab topology --from skydive` draws it."""
    note = "read from the nodes themselves, which skydive does not see: gateway-1"
    title = "lab lab, from skydive"
    return svg(lab.topology(), title=title, names=lab.names(), notes=[note])


def main() -> None:
    """Draw them."""
    (DOCS / "architecture.svg").write_text(architecture(), encoding="utf-8")
    (DOCS / "scenarios" / "skydive.svg").write_text(recorded(), encoding="utf-8")


if __name__ == "__main__":
    main()
