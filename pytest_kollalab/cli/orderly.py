"""The orderly end of a verb that changes a lab: what signals do while it runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import Options
from pytest_kollalab.system.signals import Signals


@contextmanager
def orderly(lab: Lab) -> Iterator[None]:
    """Have the first SIGINT or SIGTERM take back what is half made, the second stop at once."""
    command = "kollalab down" + (f" --name {lab.name}" if lab.name != Options.name else "")
    signals = Signals(
        "stopping; what is half made is taken back",
        f"Lab {lab.name} is removed by: {command}",
    )
    signals.install()
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"stopped; what is there of lab {lab.name} is removed by: {command}", err=True)
        sys.exit(128 + signals.last)
    finally:
        signals.restore()
