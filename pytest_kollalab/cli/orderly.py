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
def orderly(lab: Lab) -> Iterator[None]:
    """Undo unfinished changes on the first SIGINT, SIGTERM or SIGHUP; stop on the second."""
    command = down_command(options_of(lab.options))
    signals = Signals(
        "stopping; unfinished changes are undone",
        f"Lab {lab.name} is removed by: {command}",
    )
    signals.install()
    try:
        yield
    except KeyboardInterrupt:
        tell(f"stopped; to remove what exists of lab {lab.name}: {command}", err=True)
        sys.exit(128 + signals.last)
    finally:
        signals.restore()
