"""The verb topology: draws the lab's network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pytest_kollalab.cli.frame import make_lab, verb
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system.errors import StageError

if TYPE_CHECKING:
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.topology.topology import Collector

COLLECTORS = ("local", "skydive")


@verb
@click.option(
    "--from",
    "source",
    type=click.Choice(COLLECTORS),
    default="local",
    show_default=True,
    help="Where to read the topology: from the nodes themselves, or from Skydive.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("topology.svg"),
    show_default=True,
    help="The file to write; - is the standard output.",
)
def topology(source: str, output: Path, **given: Any) -> None:
    """Draw the lab as SVG: nodes, bridges, ports, tunnels, networks, chains."""
    lab = make_lab((), **given)
    text = draw(lab, source)
    if str(output) == "-":
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"{output}: the topology of lab {lab.name}, from {source}")


def draw(lab: Lab, source: str) -> str:
    """The picture of a lab as SVG. Raises StageError if the lab has no cloud."""
    from pytest_kollalab.sdn.topology import chains
    from pytest_kollalab.sdn.topology.picture import svg
    from pytest_kollalab.stages.cloud.connect import connect

    nodes, cloud = lab.made(NodesMade), lab.made(CloudMade)
    if nodes is None or cloud is None:
        raise StageError(f"lab {lab.name} has no cloud", hint="kollalab up")
    found = _collector(lab, source, nodes, cloud).topology()
    connection = connect(cloud)
    try:
        names = {network.id: network.name for network in connection.network.networks()}
        drawn = chains.read(connection)
    finally:
        connection.close()
    return svg(found, title=f"lab {lab.name}, from {source}", networks=names, chains=drawn)


def _collector(lab: Lab, source: str, nodes: NodesMade, cloud: CloudMade) -> Collector:
    from pytest_kollalab.features.skydive import words
    from pytest_kollalab.sdn.topology.local import Local

    if source == Local.name:
        return Local(lab.ssh(), nodes.nodes)
    return words.of_lab(nodes.controller.management, cloud.passwords)
