"""Points at which tests can kill a run, to check that the next run recovers."""

from __future__ import annotations

import os
import signal

VARIABLE = "KOLLALAB_CRASH_AT"


def point(name: str) -> None:
    """Kill this process with SIGKILL if KOLLALAB_CRASH_AT names this point."""
    if os.environ.get(VARIABLE) == name:
        os.kill(os.getpid(), signal.SIGKILL)
