"""The verbs about one lab: up, down, plan, show, ssh."""

from __future__ import annotations

import functools
import json
import sys
from dataclasses import asdict
from typing import Any

import click

from pytest_kollalab.cli.frame import (
    BUILD,
    DEFAULT_FEATURES,
    feature_option,
    json_option,
    lab_of,
    main,
    make_lab,
    read_settings,
    setting_options,
    verb,
)
from pytest_kollalab.cli.orderly import orderly
from pytest_kollalab.extensions.extensions import installed
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.run import become


@verb
@setting_options(*BUILD)
@feature_option
def up(features: tuple[str, ...], **given: Any) -> None:
    """Build what is missing, until the cloud is healthy."""
    from pytest_kollalab.report.live import watcher

    asked = click.get_current_context().find_root().obj
    verbosity = asked["verbose"] - asked["quiet"]
    watching = watcher(sys.stdout, verbosity)

    def say(text: str) -> None:
        if verbosity >= 0 and not watching.line(text):
            click.echo(text)

    lab = make_lab(features or DEFAULT_FEATURES, **given, say=say, watcher=watching)
    try:
        with orderly(lab):
            lab.up()
    finally:
        summary = lab.summary(kept=lab.exists())
        summary.write(lab.paths.state / "summaries" / lab.name)
        for line in summary.lines() if verbosity >= 0 else summary.kept_lines():
            click.echo(line)
    _show(lab)


@verb
def down(**given: Any) -> None:
    """Remove the lab and everything that belongs to it; caches stay."""
    _remove(make_lab((), **given))


@verb
def destroy(**given: Any) -> None:
    """The same as `down`: remove nodes, cloud and saved states."""
    _remove(make_lab((), **given))


@verb
@setting_options(*BUILD)
@feature_option
@click.option("--explain", "explained", is_flag=True, help="Show every setting and its origin.")
@json_option
def plan(features: tuple[str, ...], explained: bool, as_json: bool, **given: Any) -> None:
    """Show what each stage would do and why; change nothing."""
    from pytest_kollalab.lab.explain import explain

    said = read_settings(**given)
    lab = lab_of(said, features or DEFAULT_FEATURES)
    settings = explain(lab, said) if explained else []
    if as_json:
        told = {"stages": [asdict(step) for step in lab.plan()]}
        if explained:
            told["settings"] = [asdict(setting) for setting in settings]
        click.echo(json.dumps(told, indent=2))
        return
    for line in lab.plan_lines():
        click.echo(line)
    width = max((len(setting.name) for setting in settings), default=0)
    for setting in settings:
        click.echo(f"{setting.name:<{width}}  {json.dumps(setting.value)}  ({setting.source})")


@verb
def show(**given: Any) -> None:
    """Show the lab: nodes, addresses, cloud, credentials file."""
    _show(make_lab((), **given))


# Everything behind the node's name belongs to the command, including options.
@functools.partial(
    verb, settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(node: str, command: tuple[str, ...], **given: Any) -> None:
    """Log into a node, or run a command on it."""
    lab = make_lab((), **given)
    access = lab.ssh()
    made = lab.made(NodesMade)
    nodes = made.nodes if made is not None else {}
    if node not in nodes:
        raise ConfigError(f"there is no node {node!r}", hint=nearest(node, list(nodes)))
    # This process becomes ssh, which then owns the terminal.
    become([*access.argv(node), *command])


@main.command()
def schema() -> None:
    """Print the JSON schema of kollalab.toml, with the tables that installed packages add."""
    from pytest_kollalab.settings.config import Config
    from pytest_kollalab.settings.schema import text

    click.echo(text(installed(Config.release).tables), nl=False)


def _remove(lab: Lab) -> None:
    with orderly(lab):
        lab.destroy()
    click.echo(f"lab {lab.name} is gone")


def _show(lab: Lab) -> None:
    from pytest_kollalab.lab.gc.item import human_size

    records = lab.records()
    if not records:
        click.echo(f"there is no lab {lab.name}; `kollalab up` makes one")
        return
    for record in records.values():
        click.echo(f"{record.stage:<7} {record.status:<10} {record.key}  {record.created}")
    nodes, cloud = lab.made(NodesMade), lab.made(CloudMade)
    if nodes is not None:
        for name, node in nodes.nodes.items():
            listed = "  ".join(f"{where} {address}" for where, address in node.addresses.items())
            click.echo(f"  {name:<13} {listed}")
        if nodes.uri:
            kind = nodes.extra.get("accelerator", nodes.provider)
            click.echo(f"  on            {kind} at {nodes.uri}")
    whole = lab.rewind.whole() if "nodes" in records else {}
    for save, is_whole in whole.items():
        of = "nodes and cloud" if save.cloud else "nodes"
        if save.size:
            of += f", {human_size(save.size)}"
        told = of if is_whole else "incomplete: remove it with kollalab clear"
        click.echo(f"  saved         {save.name:<12} {save.made}  {told}")
    if cloud is not None:
        click.echo(f"  features      {' '.join(cloud.features)}")
        click.echo(f"  endpoint      {cloud.auth_url}")
        click.echo(
            f"  credentials   OS_CLIENT_CONFIG_FILE={cloud.clouds_yaml} OS_CLOUD={cloud.cloud}"
        )
