"""Waiting with a name, a deadline, a last observation and a hopeless-check."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pytest_kollalab.system.errors import WaitError

T = TypeVar("T")


@dataclass(frozen=True)
class NotYet:
    """What a probe returns while the thing is not there, with what it saw instead."""

    seen: str = ""

    def __bool__(self) -> bool:
        return False


def until(
    what: str,
    probe: Callable[[], T | NotYet | None],
    *,
    timeout: float,
    interval: float = 0.5,
    hopeless: Callable[[], str | None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call `probe` until it returns something true, and return that.

    `timeout` and `interval` are seconds. A probe that returns NotYet("...") says what it saw.
    `hopeless` returns a reason when waiting longer cannot help. Raises WaitError with the last
    observation.
    """
    started = clock()
    seen = "nothing yet"
    while True:
        value = probe()
        if isinstance(value, NotYet):
            seen = value.seen or seen
        elif value:
            return value
        elif value is not None:
            seen = repr(value)
        reason = hopeless() if hopeless is not None else None
        elapsed = clock() - started
        if reason is not None:
            raise WaitError(
                f"{what}: waiting longer cannot help",
                details=f"{reason}\nlast seen after {elapsed:.0f} s: {seen}",
            )
        if elapsed >= timeout:
            raise WaitError(f"{what}: not within {timeout:.0f} s", details=f"last seen: {seen}")
        sleep(min(interval, max(0.0, timeout - elapsed)))
