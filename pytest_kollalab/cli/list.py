"""The verb `list`: the labs that there are."""

from __future__ import annotations

import json
from dataclasses import asdict

import click

from pytest_kollalab.cli.frame import json_option, main, with_messages


@main.command()
@json_option
@with_messages
def list_command(as_json: bool) -> None:
    """List the labs of this user, with their state, provider and features.

    They are read from the state folder. `show` tells more of one of them, `gc` what is left of
    others.
    """
    from pytest_kollalab.lab.listing import line, rows
    from pytest_kollalab.system.paths import default_paths

    found = list(rows(default_paths()))
    if as_json:
        click.echo(json.dumps([asdict(row) for row in found], indent=2))
        return
    for row in found:
        click.echo(line(row))
    if not found:
        click.echo("there are no labs; `kollalab up` makes one")
