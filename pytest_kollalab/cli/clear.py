"""The verb `clear`: delete a saved state."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@click.argument("state")
def clear(state: str, **given: Any) -> None:
    """Delete a saved state; `show` lists them."""
    lab = make_lab((), **given)
    with orderly(lab):
        lab.clear(state)
    click.echo(f"{state} is forgotten")
