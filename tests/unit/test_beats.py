"""Logs that say in a span only what they always say."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

import pytest

from pytest_kollalab.report.beats import is_idle
from pytest_kollalab.report.window import Window

SINCE, SPAN = 1795348800.0, 60  # 2026-11-22 12:00 UTC
WINDOW = Window(SINCE, SINCE + SPAN)


def log(*messages: tuple[float, str]) -> str:
    """A log of messages, each with its seconds after the span's beginning."""
    lines = []
    for at, text in sorted(messages):
        clock = datetime.fromtimestamp(SINCE + at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        lines.append(f"{clock} 6 {text}\n")
    return "".join(lines)


def beat(
    every: float, text: str, begin: float = -600, end: float = SPAN
) -> list[tuple[float, str]]:
    return [
        (begin + each * every, text.format(each)) for each in range(int((end - begin) / every) + 1)
    ]


LOOP = beat(2, "INFO agent iteration:{} started")
PING = beat(30, 'INFO "GET /ping HTTP/1.1" 200')


@pytest.mark.parametrize("messages", [LOOP, PING, LOOP + PING, beat(2.2, "INFO {} jobs")])
def test_a_log_with_beats_alone_is_idle(messages: list[tuple[float, str]]) -> None:
    assert is_idle(log(*messages), WINDOW)


def bursts(times: Iterable[float]) -> list[tuple[float, str]]:
    return [(at + part, "INFO POST /v2.0/ports") for at in times for part in (0, 0.2, 3)]


@pytest.mark.parametrize(
    "more",
    [
        [(10.0, "INFO port 7 is bound")],
        [(10.0, "INFO iteration:9 failed")],
        # What tests cause is usual, too, and it comes in bursts and pauses.
        bursts((-590, -500, -490, -310, -300, -200, -170, -60, -20, 10, 40)),
        # More often than before.
        beat(5, 'INFO "GET /ping HTTP/1.1" 200', begin=3),
        # Longer than for a few minutes.
        beat(20, "WARNING retry", begin=-50),
    ],
    ids=["one message", "a failure", "tests", "often", "new"],
)
def test_a_log_that_says_more_is_busy(more: list[tuple[float, str]]) -> None:
    assert not is_idle(log(*LOOP, *PING, *more), WINDOW)


def test_a_beat_that_stops_is_no_idleness() -> None:
    assert not is_idle(log(*beat(2, "INFO agent iteration:{} started", end=20), *PING), WINDOW)
    # One that stopped long ago is none.
    assert is_idle(log(*beat(5, "INFO starting", end=-300), *PING), WINDOW)


def test_lines_without_a_time_belong_to_a_trouble() -> None:
    text = log(*LOOP).replace("iteration:310 started\n", "iteration:310 started\nKeyError: 'x'\n")
    assert "KeyError" in text
    assert not is_idle(text, WINDOW)


@pytest.mark.parametrize("text", ["", "no time\n" * 9, log((-5, "INFO early"))])
def test_a_log_that_says_nothing_then_is_not_called_idle(text: str) -> None:
    assert not is_idle(text, WINDOW)
