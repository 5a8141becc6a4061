"""The frame of the command line: the group, the options every verb takes, exit codes, errors."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from pytest_kollalab import __version__
from pytest_kollalab.engine.progress import Watcher
from pytest_kollalab.extensions.extensions import installed
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings import config as configuration
from pytest_kollalab.system.errors import (
    BusyError,
    ConfigError,
    HostError,
    KollalabError,
    as_message,
)

DEFAULT_FEATURES = ("compute", "sfc")
EXIT_FAILED = 1
EXIT_USAGE = 2  # click's own for a wrong command line
EXIT_HOST = 3
EXIT_BUSY = 4
EXIT_INTERRUPTED = 130
EXIT_CODES = """\b
Exit codes:
  0    done
  1    something failed: a build, a deploy, a command
  2    the command line or the configuration is wrong
  3    the host lacks something
  4    somebody else is using the lab
  130  stopped with Ctrl-C (143 with SIGTERM)
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, epilog=EXIT_CODES)
@click.version_option(__version__)
@click.option("-v", "--verbose", is_flag=True, help="Show each command that is run.")
@click.option("-q", "--quiet", is_flag=True, help="Show results and errors, no progress.")
@click.pass_context
def main(context: click.Context, verbose: bool, quiet: bool) -> None:
    """Bring up, look into and remove a containerized OpenStack lab."""
    context.obj = {"verbose": verbose, "quiet": quiet}
    if verbose:
        logging.basicConfig(level=logging.DEBUG, format="%(message)s", stream=sys.stderr)
        for noisy in ("urllib3", "docker", "keystoneauth", "openstack", "stevedore"):
            logging.getLogger(noisy).setLevel(logging.WARNING)


def exit_code(error: KollalabError) -> int:
    """The exit code that goes with an error."""
    kinds = ((ConfigError, EXIT_USAGE), (HostError, EXIT_HOST), (BusyError, EXIT_BUSY))
    return next((code for kind, code in kinds if isinstance(error, kind)), EXIT_FAILED)


def verb(
    function: Callable[..., None], settings: dict[str, Any] | None = None
) -> Callable[..., None]:
    """A command with the options that every verb takes, and errors shown as messages."""

    @click.option("--name", help="Name of the lab.  [default: lab]")
    @click.option("--config", "path", type=click.Path(path_type=Path), help="Configuration file.")
    @click.option("--provider", help=f"Source of nodes: {', '.join(configuration.PROVIDERS)}, ...")
    @functools.wraps(function)
    def wrapped(**arguments: Any) -> None:
        try:
            function(**arguments)
        except Exception as error:
            told = as_message(error)
            if not isinstance(told, KollalabError):
                raise
            click.secho("error: ", fg="red", nl=False, err=True)
            click.echo(str(told), err=True)
            sys.exit(exit_code(told))
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
clone_option = click.option(
    "--clone-of", metavar="LAB", help="Make the lab from the golden state of this one."
)
json_option = click.option("--json", "as_json", is_flag=True, help="As JSON, for a program.")


def make_lab(
    features: tuple[str, ...],
    *,
    name: str | None,
    path: Path | None,
    provider: str | None,
    until: str | None = None,
    fresh: tuple[str, ...] = (),
    clone_of: str | None = None,
    say: Callable[[str], None] = click.echo,
    watcher: Watcher | None = None,
) -> Lab:
    """The lab that the options and the configuration file describe; touches nothing."""
    settings, run = configuration.read(path or config_file())
    given = {
        "name": name,
        "provider": provider,
        "until": until,
        "fresh": fresh or None,
        "clone_of": clone_of,
    }
    return Lab(
        settings,
        configuration.options(run, given),
        features=features,
        say=say,
        watcher=watcher,
        extensions=installed(settings.release),
    )


def config_file() -> Path | None:
    """The configuration file of the current folder, its scenarios/, or a folder above."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        for path in (folder / configuration.FILE, folder / "scenarios" / configuration.FILE):
            if path.is_file():
                return path
        if (folder / ".git").exists():
            break
    return None
