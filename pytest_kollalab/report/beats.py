"""What logs say at regular intervals. A log that says nothing else was idle."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise

from pytest_kollalab.report.window import SLACK, Window, form

# So many lines before a span are looked at.
LOOKED_AT = 2000
# A message comes at regular intervals if it came so often before, and hardly ever later than after
# so many times the usual interval. What tests cause comes in bursts and pauses.
LEAST = 5
LATEST = 2.0
HARDLY_EVER = 0.05


def is_idle(text: str, window: Window) -> bool:
    """Whether a log says in a span only what it said at regular intervals before.

    A message that stops, or comes more often than before, is something else.

    Args:
        text: The log, with what it said before the span.
        window: The span.
    """
    inside = window.cut(text)
    first, _, _ = inside.partition("\n")
    if not first or window.moment(first) is None:
        return False
    before = _ticks(text[: text.index(first)].splitlines()[-LOOKED_AT:], window)
    lines = inside.splitlines()
    within = _ticks(lines, window)
    if sum(len(times) for times in within.values()) < len(lines):
        return False  # lines without a time, such as those of a traceback
    usual = {each: period for each, times in before.items() if (period := _period(times))}
    alive = {e for e in usual if before[e][-1] >= window.since - LATEST * usual[e] - SLACK}
    return set(within) <= alive and all(
        _goes_on(before[each][-1], within.get(each, []), usual[each], window) for each in alive
    )


def _ticks(lines: Iterable[str], window: Window) -> dict[str, list[float]]:
    """The times of each message."""
    found: dict[str, list[float]] = {}
    for line in lines:
        moment = window.moment(line)
        if moment is not None:
            found.setdefault(form(line), []).append(moment)
    return found


def _once(times: Iterable[float]) -> list[float]:
    """Times without those that follow another at once."""
    kept: list[float] = []
    for each in times:
        if not kept or each - kept[-1] > SLACK:
            kept.append(each)
    return kept


def _period(times: Sequence[float]) -> float | None:
    """The seconds between two times; None if they are not regular."""
    gaps = sorted(later - earlier for earlier, later in pairwise(_once(times)))
    if len(gaps) < LEAST:
        return None
    period = statistics.median(gaps)
    late = gaps[min(int(len(gaps) * (1 - HARDLY_EVER)), len(gaps) - 1)]
    return period if late <= LATEST * period else None


def _goes_on(last: float, times: Sequence[float], period: float, window: Window) -> bool:
    """Whether a message came in the span as before: neither missing nor more often."""
    came = _once(times)
    longest = max(later - earlier for earlier, later in pairwise([last, *came, window.until]))
    most = LATEST * ((window.until - window.since) / period + 1)
    return longest <= LATEST * period + SLACK and len(came) <= most
