"""The verbs about one lab: up, down, plan, show, ssh."""

from __future__ import annotations

import functools
import json
import sys
import tomllib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from pytest_kollalab.cli.frame import (
    DEFAULT_FEATURES,
    clone_option,
    config_file,
    feature_option,
    fresh_option,
    json_option,
    main,
    make_lab,
    until_option,
    verb,
)
from pytest_kollalab.cli.orderly import orderly
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.run import become

if TYPE_CHECKING:
    from pytest_kollalab.lab.explain import Setting


@verb
@until_option
@fresh_option
@feature_option
@clone_option
def up(features: tuple[str, ...], **given: Any) -> None:
    """Build what is missing, up to a healthy cloud."""
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
    """The same as `down`: nodes, cloud and saved states go."""
    _remove(make_lab((), **given))


@verb
@until_option
@fresh_option
@feature_option
@clone_option
@click.option("--explain", "explained", is_flag=True, help="Show every setting and its origin.")
@json_option
def plan(features: tuple[str, ...], explained: bool, as_json: bool, **given: Any) -> None:
    """Say what each stage would do and why; change nothing."""
    lab = make_lab(features or DEFAULT_FEATURES, **given)
    settings = explain_lab(lab, given) if explained else []
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
    made = lab.made(NodesMade)
    nodes = made.nodes if made is not None else {}
    if node not in nodes:
        raise ConfigError(f"there is no node {node!r}", hint=nearest(node, list(nodes)))
    # The terminal belongs to ssh from here on, so this process becomes it.
    become([*access.argv(node), *command])


@main.command()
def schema() -> None:
    """Print the JSON schema of kollalab.toml."""
    from pytest_kollalab.settings.schema import shipped

    click.echo(shipped(), nl=False)


def explain_lab(lab: Lab, given: dict[str, Any]) -> list[Setting]:
    """Every effective setting of a lab that the options of a verb made."""
    from pytest_kollalab.lab.explain import explain

    path = given["path"] or config_file()
    table = tomllib.loads(path.read_text(encoding="utf-8")) if path is not None else {}
    options = {name: f"--{name}" for name in ("name", "provider", "until", "fresh") if given[name]}
    return explain(lab, table, path, options)


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
        told = of if is_whole else "not whole any more: kollalab clear forgets it"
        click.echo(f"  saved         {save.name:<12} {save.made}  {told}")
    if cloud is not None:
        click.echo(f"  features      {' '.join(cloud.features)}")
        click.echo(f"  endpoint      {cloud.auth_url}")
        click.echo(
            f"  credentials   OS_CLIENT_CONFIG_FILE={cloud.clouds_yaml} OS_CLOUD={cloud.cloud}"
        )
