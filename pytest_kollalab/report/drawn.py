"""The picture of a lab's network at the moment of a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from pytest_kollalab.report.asking import gather
from pytest_kollalab.sdn.topology.local import Local, join
from pytest_kollalab.sdn.topology.names import Names, names_of
from pytest_kollalab.sdn.topology.picture import svg
from pytest_kollalab.sdn.topology.topology import Topology
from pytest_kollalab.stages.cloud.connect import connect
from pytest_kollalab.system.errors import KollalabError

if TYPE_CHECKING:
    from pytest_kollalab.stages.cloud.made import CloudMade
    from pytest_kollalab.system.ssh import Ssh

NAME = "topology.svg"
# Seconds in which nodes and API answer; then there is time to draw what they said.
ANSWER_WITHIN = 9.0
API = "the API, which has the names of things"


def drawn(ssh: Ssh, nodes: Iterable[str], cloud: CloudMade, title: str) -> Mapping[str, str]:
    """Draw the network as the nodes that answer have it, with the names of the API if it answers.

    Args:
        ssh: Runs commands on the nodes.
        nodes: The names of the nodes.
        cloud: The cloud on them.
        title: The title of the picture.

    Returns:
        The picture by the name of its file.

    Raises:
        KollalabError: No node answers, or the picture cannot be drawn.
    """
    asked: dict[str, Callable[[], Topology | Names]] = {API: partial(_names, cloud)}
    asked |= {node: Local(ssh, [node]).topology for node in nodes}
    told, problems = gather(asked, deadline=ANSWER_WITHIN)
    parts = [part for part in told.values() if isinstance(part, Topology)]
    if not parts:
        raise KollalabError("; ".join(problems))
    names = told.get(API)
    notes = [f"without {problem}" for problem in problems]
    found = join(sorted(parts, key=lambda part: part.nodes))
    named = names if isinstance(names, Names) else None
    return {NAME: svg(found, title=title, names=named, notes=notes)}


def _names(cloud: CloudMade) -> Names:
    with connect(cloud) as connection:
        return names_of(connection)
