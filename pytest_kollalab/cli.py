"""The command line: `kollalab`, the lab's verbs for a person at a terminal."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pytest_kollalab import __version__
from pytest_kollalab import config as configuration
from pytest_kollalab.errors import ConfigError, KollalabError
from pytest_kollalab.lab import Lab
from pytest_kollalab.run import become

DEFAULT_FEATURES = ("compute", "sfc")
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True, help="Show each command that is run.")
def main(verbose: bool) -> None:
    """Bring up, look into and remove a containerized OpenStack lab."""
    if verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(message)s", stream=sys.stderr)
        for noisy in ("urllib3", "docker", "keystoneauth", "openstack", "stevedore"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


def verb(
    function: Callable[..., None], settings: dict[str, Any] | None = None
) -> Callable[..., None]:
    """A command with the options that every verb takes, and errors shown as messages."""

    @click.option("--name", help="Name of the lab.  [default: lab]")
    @click.option("--config", "path", type=click.Path(path_type=Path), help="Configuration file.")
    @click.option("--provider", type=click.Choice(configuration.PROVIDERS), help="Source of nodes.")
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> None:
        try:
            function(**arguments)
        except KollalabError as error:
            click.secho("error: ", fg="red", nl=False, err=True)
            click.echo(str(error), err=True)
            sys.exit(EXIT_FAILED)
        except KeyboardInterrupt:
            click.echo("stopped; `kollalab down` removes what is there", err=True)
            sys.exit(EXIT_INTERRUPTED)

    return main.command(context_settings=settings)(wrapped)


def feature_option(function: Callable[..., None]) -> Callable[..., None]:
    """The option that says which features the cloud gets."""
    return click.option(
        "--feature",
        "features",
        multiple=True,
        help=f"Feature of the cloud; may be repeated.  [default: {' '.join(DEFAULT_FEATURES)}]",
    )(function)


def fresh_option(function: Callable[..., None]) -> Callable[..., None]:
    """The option that says which stages are built even if they could be reused."""
    return click.option("--fresh", multiple=True, help="Build this stage anyway.")(function)


until_option = click.option(
    "--until", type=click.Choice(configuration.STAGES), help="Stop after this stage."
)


@verb
@until_option
@fresh_option
@feature_option
def up(features: tuple[str, ...], **given: Any) -> None:
    """Build what is missing, up to a healthy cloud."""
    lab = _lab(features or DEFAULT_FEATURES, **given)
    lab.up()
    _show(lab)


@verb
def down(**given: Any) -> None:
    """Remove the lab and everything that belongs to it; caches stay."""
    lab = _lab((), **given)
    lab.destroy()
    click.echo(f"lab {lab.name} is gone")


@verb
@until_option
@fresh_option
@feature_option
def plan(features: tuple[str, ...], **given: Any) -> None:
    """Say what each stage would do and why; change nothing."""
    for step in _lab(features or DEFAULT_FEATURES, **given).plan():
        click.echo(str(step))


@verb
def show(**given: Any) -> None:
    """Show what is there: nodes, addresses, cloud, credentials file."""
    _show(_lab((), **given))


# What follows the node belongs to the command there, options too.
@functools.partial(
    verb, settings={"ignore_unknown_options": True, "allow_interspersed_args": False}
)
@click.argument("node")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(node: str, command: tuple[str, ...], **given: Any) -> None:
    """Log into a node, or run a command on it."""
    lab = _lab((), **given)
    access = lab.ssh()
    nodes = lab.records()["nodes"].made["nodes"]
    if node not in nodes:
        raise ConfigError(
            f"there is no node {node!r}", hint=configuration.nearest(node, list(nodes))
        )
    # The terminal belongs to ssh from here on, so this process becomes it.
    become([*access.argv(node), *command])


def _lab(
    features: tuple[str, ...],
    *,
    name: str | None,
    path: Path | None,
    provider: str | None,
    until: str | None = None,
    fresh: tuple[str, ...] = (),
) -> Lab:
    settings, run = configuration.read(path or _config_file())
    given = {"name": name, "provider": provider, "until": until, "fresh": fresh or None}
    return Lab(settings, configuration.options(run, given), features=features, say=click.echo)


def _config_file() -> Path | None:
    for folder in (Path.cwd(), *Path.cwd().parents):
        for path in (folder / configuration.FILE, folder / "scenarios" / configuration.FILE):
            if path.is_file():
                return path
        if (folder / ".git").exists():
            break
    return None


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


if __name__ == "__main__":
    main()
