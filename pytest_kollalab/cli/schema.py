"""The verb `schema`: the JSON schema of kollalab.toml."""

from __future__ import annotations

import click

from pytest_kollalab.cli.frame import main, with_messages
from pytest_kollalab.extensions.extensions import installed


@main.command()
@with_messages
def schema() -> None:
    """Print the JSON schema of kollalab.toml, with the tables that installed packages add."""
    from pytest_kollalab.settings.config import Config
    from pytest_kollalab.settings.schema import text

    click.echo(text(installed(Config.release).tables), nl=False)
