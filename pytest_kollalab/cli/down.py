"""The verbs `down` and `destroy`: remove the lab."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, verb
from pytest_kollalab.cli.orderly import orderly
from pytest_kollalab.lab.lab import Lab


@verb
def down(**given: Any) -> None:
    """Remove the lab and everything that belongs to it; caches stay."""
    _remove(make_lab((), **given))


@verb
def destroy(**given: Any) -> None:
    """The same as `down`: remove nodes, cloud and saved states."""
    _remove(make_lab((), **given))


def _remove(lab: Lab) -> None:
    with orderly(lab):
        said = lab.remove()
    click.echo(said)
