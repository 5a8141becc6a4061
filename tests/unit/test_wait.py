"""until(): deadlines, last observations, hopeless waits. The clock is a list of numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import NotYet, until


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def read(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.now += max(seconds, 0.01)


def answers(*values: object) -> Callable[[], object]:
    stream: Iterator[object] = iter(values)
    return lambda: next(stream)


def wait(probe: Callable[[], object], **options: object) -> object:
    clock = Clock()
    return until("the port", probe, timeout=3, clock=clock.read, sleep=clock.sleep, **options)  # type: ignore[arg-type]


def test_returns_the_first_true_value() -> None:
    assert wait(answers(None, NotYet("DOWN"), False, "ACTIVE")) == "ACTIVE"


def test_a_timeout_tells_what_was_seen_last() -> None:
    with pytest.raises(WaitError) as caught:
        wait(lambda: NotYet("status is DOWN"))
    assert caught.value.brief == "the port: not within 3 s"
    assert "status is DOWN" in caught.value.details


def test_a_hopeless_wait_ends_at_once() -> None:
    with pytest.raises(WaitError, match="cannot help") as caught:
        wait(answers(NotYet("DOWN")), hopeless=lambda: "the node died")
    assert "the node died" in caught.value.details


def test_success_beats_hopelessness() -> None:
    assert wait(answers("ACTIVE"), hopeless=lambda: "too late") == "ACTIVE"


def test_not_yet_is_false() -> None:
    assert not NotYet("seen")
