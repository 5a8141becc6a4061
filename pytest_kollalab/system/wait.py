"""Waits for a condition, with a deadline and a report of the last observation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pytest_kollalab.system.errors import WaitError

T = TypeVar("T")


@dataclass(frozen=True)
class NotYet:
    """Returned by a probe while its condition is not true, with what the probe saw instead."""

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
    """Call `probe` until it returns a true value, and return that value.

    Args:
        what: The condition, as text for the error.
        probe: Returns the awaited value. A `NotYet` result says what the probe saw instead.
        timeout: In seconds.
        interval: Seconds between two calls.
        hopeless: Returns a reason if waiting longer cannot help, else None.
        clock: Returns the time in seconds.
        sleep: Sleeps for a number of seconds.

    Raises:
        WaitError: The value did not come in time, or waiting longer cannot help. The details have
            the last observation.
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
