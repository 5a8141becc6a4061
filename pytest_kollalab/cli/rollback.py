"""The verb `rollback`: bring a lab back to a saved state."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@click.argument("state")
def rollback(state: str, **given: Any) -> None:
    """Bring nodes and cloud back to a saved state, and wait until they are usable."""
    lab = make_lab((), **given)
    with orderly(lab):
        lab.rollback(state)
