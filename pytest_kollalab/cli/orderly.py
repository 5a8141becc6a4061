"""Signal handling of verbs that change a lab."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pytest_kollalab.cli.frame import tell
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.report.summary import down_command
from pytest_kollalab.settings.config import options_of
from pytest_kollalab.system.signals import Signals


@contextmanager
def orderly(lab: Lab, *, makes: bool = False) -> Iterator[None]:
    """Undo unfinished changes on the first SIGINT, SIGTERM or SIGHUP; stop on the second.

    Args:
        lab: The lab.
        makes: Whether the verb makes or removes the lab, so that something of it may be left.
    """
    name = lab.name
    command = down_command(options_of(lab.options))
    look = f"`kollalab show --name {name}` tells what it is"
    removal = f"Lab {name} is removed by: {command}"
    signals = Signals(
        "stopping; unfinished changes are undone", removal if makes else f"Lab {name}: {look}"
    )
    signals.install()
    try:
        yield
    except KeyboardInterrupt:
        if not makes:
            told = f"stopped; lab {name} stays: {look}"
        elif lab.has_changed():
            told = f"stopped; to remove what exists of lab {name}: {command}"
        else:
            told = f"stopped before anything of lab {name} was changed"
        tell(told, err=True)
        sys.exit(128 + signals.last)
    finally:
        signals.restore()
