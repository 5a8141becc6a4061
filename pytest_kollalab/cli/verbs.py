"""The verbs about one lab: up, down, plan, show, ssh."""

from __future__ import annotations

import functools
from typing import Any

import click

from pytest_kollalab import config as configuration
from pytest_kollalab.cli.frame import (
    DEFAULT_FEATURES,
    feature_option,
    fresh_option,
    make_lab,
    until_option,
    verb,
)
from pytest_kollalab.errors import ConfigError
from pytest_kollalab.lab import Lab
from pytest_kollalab.run import become


@verb
@until_option
@fresh_option
@feature_option
def up(features: tuple[str, ...], **given: Any) -> None:
    """Build what is missing, up to a healthy cloud."""
    lab = make_lab(features or DEFAULT_FEATURES, **given)
    lab.up()
    _show(lab)


@verb
def down(**given: Any) -> None:
    """Remove the lab and everything that belongs to it; caches stay."""
    lab = make_lab((), **given)
    lab.destroy()
    click.echo(f"lab {lab.name} is gone")


@verb
@until_option
@fresh_option
@feature_option
def plan(features: tuple[str, ...], **given: Any) -> None:
    """Say what each stage would do and why; change nothing."""
    for step in make_lab(features or DEFAULT_FEATURES, **given).plan():
        click.echo(str(step))


@verb
def show(**given: Any) -> None:
    """Show what is there: nodes, addresses, cloud, credentials file."""
    _show(make_lab((), **given))


# What follows the node belongs to the command there, options too.
@functools.partial(
    verb, settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(node: str, command: tuple[str, ...], **given: Any) -> None:
    """Log into a node, or run a command on it."""
    lab = make_lab((), **given)
    access = lab.ssh()
    nodes = lab.records()["nodes"].made["nodes"]
    if node not in nodes:
        raise ConfigError(
            f"there is no node {node!r}", hint=configuration.nearest(node, list(nodes))
        )
    # The terminal belongs to ssh from here on, so this process becomes it.
    become([*access.argv(node), *command])


def _show(lab: Lab) -> None:
    records = lab.records()
    if not records:
        click.echo(f"there is no lab {lab.name}; `kollalab up` makes one")
        return
    for record in records.values():
        click.echo(f"{record.stage:<7} {record.status:<10} {record.key}  {record.created}")
    nodes = records.get("nodes")
    if nodes is not None:
        for name, addresses in nodes.made.get("nodes", {}).items():
            listed = "  ".join(f"{network} {address}" for network, address in addresses.items())
            click.echo(f"  {name:<13} {listed}")
    cloud = records.get("cloud")
    if cloud is not None and cloud.made:
        made = cloud.made
        click.echo(f"  features      {' '.join(made['features'])}")
        click.echo(f"  endpoint      {made['auth_url']}")
        click.echo(
            f"  credentials   OS_CLIENT_CONFIG_FILE={made['clouds_yaml']} OS_CLOUD={made['cloud']}"
        )
