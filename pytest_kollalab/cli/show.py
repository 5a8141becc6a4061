"""The verb `show`: what there is of a lab."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import in_use, make_lab, verb
from pytest_kollalab.features.base import at_node
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.report.summary import up_command
from pytest_kollalab.settings.config import options_of
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system.errors import StageError


@verb
def show(**given: Any) -> None:
    """Show the lab: nodes, addresses, cloud, credentials file."""
    lab = make_lab((), **given)
    if not lab.records():
        raise StageError(lab.unknown(), hint="kollalab up")
    show_lab(lab, **given)


def _docker() -> str:
    """The daemon of images, registry and, unless another one is named, nodes."""
    from pytest_kollalab.system import daemon
    from pytest_kollalab.system.errors import KollalabError

    try:
        return str(daemon.resolve())
    except KollalabError as error:
        return f"none: {error.brief}"


def _endpoints(lab: Lab, cloud: CloudMade) -> dict[str, str]:
    """The URLs of APIs that the features of a cloud have, by name."""
    known = lab.extensions.registry
    found: dict[str, str] = {}
    for name in cloud.features:
        # One of a plugin that is not here any more is not known.
        if name in known.names():
            found.update(known.get(name).endpoints)
    return found


def show_lab(lab: Lab, **given: Any) -> None:
    """Print the nodes, addresses, saved states, features and credentials file of a lab.

    Args:
        lab: The lab.
        given: The options of the verb, for the commands in messages.
    """
    from pytest_kollalab.lab.gc.item import human_size

    records = lab.records()
    if not records:
        # `up --until images` makes what all labs share, and no lab.
        click.echo(in_use(f"{lab.unknown()}; `kollalab up` makes one", given))
        return
    for record in records.values():
        click.echo(f"{record.stage:<7} {record.status:<10} {record.key}  {record.created}")
    nodes, cloud = lab.made(NodesMade), lab.made(CloudMade)
    if nodes is not None:
        for name, node in nodes.nodes.items():
            listed = "  ".join(f"{where} {address}" for where, address in node.addresses.items())
            click.echo(f"  {name:<13} {listed}")
        if halted := lab.halted():
            command = in_use(up_command(options_of(lab.options)), given)
            click.echo(f"  does not run  {', '.join(halted)}; started by {command}")
        if nodes.uri:
            kind = nodes.extra.get("accelerator", nodes.provider)
            click.echo(f"  on            {kind} at {nodes.uri}")
        click.echo(f"  docker        {_docker()}")
    whole = lab.rewind.whole() if "nodes" in records else {}
    for save, is_whole in whole.items():
        of = "nodes and cloud" if save.cloud else "nodes"
        if save.size:
            of += f", {human_size(save.size)}"
        told = of if is_whole else in_use("incomplete: remove it with kollalab clear", given)
        click.echo(f"  saved         {save.name:<12} {save.made}  {told}")
    if cloud is not None:
        if cloud.upgraded_from:
            release = records["cloud"].inputs["release"]
            click.echo(f"  release       {release}, upgraded from {cloud.upgraded_from}")
        if cloud.replayed:
            click.echo(f"  replayed      {' '.join(cloud.replayed)}: not as in a new lab")
        click.echo(f"  features      {' '.join(cloud.features)}")
        click.echo(f"  endpoint      {cloud.auth_url}")
        for api, url in _endpoints(lab, cloud).items():
            there = url if nodes is None else at_node(url, nodes.controller.addresses)
            click.echo(f"  {api:<13} {there}")
        click.echo(
            f"  credentials   OS_CLIENT_CONFIG_FILE={cloud.clouds_yaml} OS_CLOUD={cloud.cloud}"
        )
