"""Activity: when this process last asked a lab for something."""

from __future__ import annotations

import time

_last = 0.0


def note() -> None:
    """Note that a lab is asked for something now: a command on a node, or a request to an API."""
    global _last  # noqa: PLW0603 - one clock for the whole process
    _last = time.time()


def since(moment: float) -> bool:
    """Whether a lab was asked for something since a moment (seconds since 1970)."""
    return _last >= moment
