"""What all verbs of the command line share: the group, common options, exit codes, errors."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from pytest_kollalab import __version__
from pytest_kollalab.engine.progress import Watcher
from pytest_kollalab.extensions.extensions import installed
from pytest_kollalab.features.backend import named
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import FILE, Config, Invocation, NetworkConfig, Options
from pytest_kollalab.settings.convert import Place
from pytest_kollalab.settings.declare import plain_settings
from pytest_kollalab.settings.read import Layer, Settings, check_tables, environment, read
from pytest_kollalab.system.commands import carrying
from pytest_kollalab.system.errors import (
    BusyError,
    ConfigError,
    HostError,
    KollalabError,
    as_message,
)
from pytest_kollalab.system.paths import expanded
from pytest_kollalab.system.telling import silence, telling

DEFAULT_FEATURES = ("compute", "sfc")
EXIT_FAILED = 1
EXIT_USAGE = 2  # click's own for a wrong command line
EXIT_HOST = 3
EXIT_BUSY = 4
EXIT_INTERRUPTED = 130
# The settings that are options of every verb, and those of verbs that build.
WHICH_LAB = ("config", "name", "provider", "release")
BUILD = ("backend", "until", "fresh", "clone_of", "stock", "discard_saved")
# Where a golden state is fetched from, of verbs that start a lab from one or plan that.
GOLDEN = ("golden_registry", "registry_ca", "golden_signers")
# What an error about an unknown table says on the command line.
OF_PYTEST = {
    "details": "the table of a feature or provider in a conftest.py is known to pytest only",
    "hint": "if it is such a table, use pytest, or give the feature's package an entry point in "
    "the group kollalab, which pytest and kollalab know; if not, leave it out",
}
FEATURES_OF_PYTEST = (
    "one in a conftest.py is known to pytest only, unless its package has an entry point in the "
    "group kollalab"
)
SETTINGS = plain_settings(Config, Options, Invocation)
EXIT_CODES = """\b
Exit codes:
  0    done
  1    something failed: a build, a deploy, a command
  2    the command line or the configuration is wrong
  3    the host lacks something
  4    somebody else is using the lab
  130  stopped with Ctrl-C (143 with SIGTERM, 129 when the terminal was closed)
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


def tell(text: str, *, err: bool = False) -> None:
    """Show a line. If nobody reads it any more, the work continues without telling."""
    try:
        click.echo(text, err=err)
    except OSError:
        with telling():
            silence(2 if err else 1)
            click.echo(text, err=err)


def progress() -> tuple[Callable[[str], None], Watcher]:
    """How a verb that builds shows its progress: lines, and stages that run; as -v and -q say."""
    from pytest_kollalab.report.live import watcher

    verbosity = asked_verbosity()
    watching = watcher(sys.stdout, verbosity)

    def say(text: str) -> None:
        if verbosity >= 0 and not watching.line(text):
            tell(text)

    return say, watching


def asked_verbosity() -> int:
    """How often -v was given, less how often -q was."""
    asked = click.get_current_context().find_root().obj
    return int(asked["verbose"]) - int(asked["quiet"])


def exit_code(error: KollalabError) -> int:
    """The exit code for an error."""
    kinds = ((ConfigError, EXIT_USAGE), (HostError, EXIT_HOST), (BusyError, EXIT_BUSY))
    return next((code for kind, code in kinds if isinstance(error, kind)), EXIT_FAILED)


def with_messages(function: Callable[..., None]) -> Callable[..., None]:
    """Let a function show errors as messages and exit with their codes."""

    @functools.wraps(function)
    def wrapped(**arguments: Any) -> None:
        try:
            function(**arguments)
        except Exception as error:
            told = as_message(error)
            if not isinstance(told, KollalabError):
                raise
            text = in_use(str(told), arguments)
            tell(f"{click.style('error: ', fg='red')}{text}", err=True)
            sys.exit(exit_code(told))
        except KeyboardInterrupt:
            tell(in_use("stopped; `kollalab down` removes what is there", arguments), err=True)
            sys.exit(EXIT_INTERRUPTED)

    return wrapped


def in_use(text: str, arguments: Mapping[str, Any]) -> str:
    """A message whose commands have the options by which this verb was told which lab it is."""
    return carrying(text, {_flag(name): arguments.get(name) for name in WHICH_LAB})


def verb(
    function: Callable[..., None], settings: dict[str, Any] | None = None
) -> Callable[..., None]:
    """Make a function a verb: a command with the common options that shows errors as messages."""
    told = with_messages(function)
    return main.command(context_settings=settings)(setting_options(*WHICH_LAB)(told))


def feature_option(function: Callable[..., None]) -> Callable[..., None]:
    """Add the option `--feature`."""
    return click.option(
        "--feature",
        "features",
        multiple=True,
        help="Feature of the cloud; may be repeated.  [default: those of the lab if there is one, "
        f"or else {' '.join(DEFAULT_FEATURES)}]",
    )(function)


def setting_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add options for settings, given by name."""

    def added(function: Callable[..., None]) -> Callable[..., None]:
        for name in reversed(names):
            each = SETTINGS[name]
            shown: dict[str, Any] = {"metavar": each.metavar}
            if each.many:
                shown["multiple"] = True
            elif each.kind is bool:
                shown = {"is_flag": True, "default": None}
            text = f"{each.help[0].upper()}{each.help[1:]}."
            function = click.option(_flag(name), name, help=text, **shown)(function)
        return function

    return added


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def read_settings(**given: Any) -> Settings:
    """Read the settings from the configuration file, the environment and the options of a verb."""
    here = Path.cwd()
    options: Layer = {
        name: (value, Place(_flag(name), folder=here))
        for name, value in given.items()
        if value not in (None, ())
    }
    said = environment() | dict(options)
    file = Path(here, expanded(said["config"][0])) if "config" in said else config_file()
    return read(file, environment(), options)


def lab_of(settings: Settings, features: tuple[str, ...], *, builds: bool, **more: Any) -> Lab:
    """The lab with these settings and features; it creates nothing.

    Args:
        settings: The settings.
        features: The names of the features.
        builds: Whether the verb needs all of the configuration. Other verbs leave tables alone
            that belong to no feature or provider known here; pytest may know them.
        more: Passed to `Lab`.
    """
    extensions = installed(settings.config.release)
    if settings.config.tables:
        known = extensions.tables
        tables = {n: t for n, t in settings.config.tables.items() if builds or n in known}
        check_tables(replace(settings.config, tables=tables), known, **OF_PYTEST)
    by = {name: ["--feature"] for name in features}
    extensions.registry.check_known(by, FEATURES_OF_PYTEST)
    more = {"say": tell, "confirm": confirm, **more}
    return Lab(settings.config, settings.options, features=features, extensions=extensions, **more)


def lab_to_build(settings: Settings, features: tuple[str, ...], **more: Any) -> Lab:
    """The lab with these features, or else with those that its cloud has; it creates nothing.

    The network backend too is that of the cloud, unless somebody says which. Features of the cloud
    that are not known here do not count: the lab serves or refuses.
    """
    lab = lab_of(settings, features, builds=True, **more)
    registry = lab.extensions.registry
    if "network.backend" not in settings.origins:
        network = NetworkConfig(lab.cloud_backend() or settings.config.network.backend)
        settings = replace(settings, config=replace(settings.config, network=network))
    if not features:
        unsuited = registry.unsuited(DEFAULT_FEATURES, named(settings.config.network.backend))
        there = tuple(name for name in lab.cloud_features() if name in registry.names())
        features = there or tuple(name for name in DEFAULT_FEATURES if name not in unsuited)
    return lab_of(settings, features, builds=True, **more)


def lab_shown(features: tuple[str, ...], **given: Any) -> Lab:
    """The lab of a verb that builds, which shows its progress; see `lab_to_build`."""
    say, watching = progress()
    shown = {"say": say, "warn": say if asked_verbosity() >= 0 else tell}
    return lab_to_build(read_settings(**given), features, watcher=watching, **shown)


def make_lab(
    features: tuple[str, ...],
    *,
    builds: bool = False,
    say: Callable[[str], None] = tell,
    watcher: Watcher | None = None,
    **given: Any,
) -> Lab:
    """The lab that the options of a verb and the configuration describe; it creates nothing."""
    return lab_of(read_settings(**given), features, builds=builds, say=say, watcher=watcher)


def confirm(question: str) -> bool:
    """Ask a question on a terminal. Without a terminal the answer is no."""
    return sys.stdin.isatty() and click.confirm(question, err=True)


def config_file() -> Path | None:
    """The configuration file of the current folder, its scenarios/, or a folder above."""
    for folder in (Path.cwd(), *Path.cwd().parents):
        for path in (folder / FILE, folder / "scenarios" / FILE):
            if path.is_file():
                return path
        if (folder / ".git").exists():
            break
    return None


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
