"""The verb `save`: save a lab under a name."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@click.argument("state")
@click.option("--yes", is_flag=True, help="Replace a saved state of that name without asking.")
def save(state: str, yes: bool, **given: Any) -> None:
    """Save the current state of nodes and cloud under a name; with virtual machines also memory."""
    lab = make_lab((), **given)
    with orderly(lab):
        lab.save(state, replace=yes)
