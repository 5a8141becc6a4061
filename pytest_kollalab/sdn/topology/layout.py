"""The layout of graphs by Graphviz, which runs in a process of its own."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from pytest_kollalab.system.errors import HostError, StageError
from pytest_kollalab.system.run import run

TIMEOUT = 120.0
MISSING = 3
# Reads a list of graphs as JSON, and writes a list of pictures.
DRAW = f"""
import json, sys
try:
    from pygraphviz import AGraph
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit({MISSING})
graphs = [AGraph(string=graph) for graph in json.load(sys.stdin)]
json.dump([graph.draw(format="svg", prog="dot").decode() for graph in graphs], sys.stdout)
"""


def laid_out(graphs: Sequence[str]) -> list[str]:
    """Lay out graphs with `dot`, and return them as SVG.

    Graphviz comes with the package pygraphviz and is a library in C. In a process of its own it can
    take no other down, and what it says of the host's fonts does not get into the output.

    Args:
        graphs: Graphs in Graphviz's language.

    Raises:
        HostError: pygraphviz is not installed, or cannot be loaded.
        StageError: Graphviz failed.
        CommandError: Graphviz took longer than two minutes.
    """
    asked = json.dumps(list(graphs))
    result = run([sys.executable, "-c", DRAW], input=asked, check=False, timeout=TIMEOUT)
    said = result.stderr.strip()
    if result.returncode == MISSING:
        raise HostError("pictures need pygraphviz", details=said, hint="pip install pygraphviz")
    if result.returncode != 0:
        raise StageError("Graphviz could not draw the picture", details=said)
    found: list[str] = json.loads(result.stdout)
    return found
