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
    from pytest_kollalab.sdn.topology.names import Names
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
    """Draw the lab as SVG: nodes, bridges, ports, what is plugged in, tunnels, chains."""
    lab = make_lab((), **given)
    text = draw(lab, source)
    if str(output) == "-":
        click.echo(text, nl=False)
    else:
        output.write_text(text, encoding="utf-8")
        click.echo(f"{output}: the topology of lab {lab.name}, from {source}")


def draw(lab: Lab, source: str) -> str:
    """The picture of a lab as SVG. Raises StageError if the lab has no cloud."""
    from pytest_kollalab.sdn.topology.local import Local, join
    from pytest_kollalab.sdn.topology.picture import svg

    nodes, cloud = lab.made(NodesMade), lab.made(CloudMade)
    if nodes is None or cloud is None:
        raise StageError(f"lab {lab.name} has no cloud", hint="kollalab up")
    found = _collector(lab, source, nodes, cloud).topology()
    notes = []
    # Skydive has no agent where nothing of OpenStack runs.
    unseen = [node for node in nodes.nodes if node not in found.nodes]
    if unseen:
        found = join([found, Local(lab.ssh(), unseen).topology()])
        notes.append(f"read from the nodes themselves, which {source} does not see: {unseen[0]}")
        notes[-1] += "".join(f", {node}" for node in unseen[1:])
    named, trouble = _names(cloud)
    return svg(
        found,
        title=f"lab {lab.name}, from {source}",
        names=named,
        notes=[*notes, *([trouble] if trouble else [])],
    )


def _names(cloud: CloudMade) -> tuple[Names, str]:
    """What the API calls things; if it does not answer, nothing, and a line that says so."""
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import SDKException

    from pytest_kollalab.sdn.topology import names
    from pytest_kollalab.stages.cloud.connect import connect

    connection = connect(cloud)
    try:
        return names.names_of(connection), ""
    except (ClientException, SDKException) as error:
        reason = str(error).partition("\n")[0]
        return names.Names(), f"without the names that the API knows, which failed: {reason}"
    finally:
        connection.close()


def _collector(lab: Lab, source: str, nodes: NodesMade, cloud: CloudMade) -> Collector:
    from pytest_kollalab.features.skydive import words
    from pytest_kollalab.sdn.topology.local import Local

    if source == Local.name:
        return Local(lab.ssh(), nodes.nodes)
    return words.of_lab(nodes.controller.management, cloud.passwords)
