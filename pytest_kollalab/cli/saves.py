"""The verbs about saved states: save, rollback, clear."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@click.argument("state")
def save(state: str, **given: Any) -> None:
    """Save the current state of nodes and cloud under a name; with virtual machines also memory."""
    lab = make_lab((), **given)
    with orderly(lab):
        lab.save(state)


@verb
@click.argument("state")
def rollback(state: str, **given: Any) -> None:
    """Bring nodes and cloud back to a saved state, and wait until they are usable."""
    lab = make_lab((), **given)
    with orderly(lab):
        lab.rollback(state)


@verb
@click.argument("state")
def clear(state: str, **given: Any) -> None:
    """Delete a saved state; `show` lists them."""
    lab = make_lab((), **given)
    with orderly(lab):
        lab.clear(state)
    click.echo(f"{state} is forgotten")
