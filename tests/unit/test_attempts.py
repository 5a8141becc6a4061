"""Steps of which one that fails does not stop the others."""

from __future__ import annotations

import errno

import pytest

from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.errors import HostError, StageError


def test_the_others_are_done_and_a_single_error_stays_what_it_is() -> None:
    attempts = Attempts()
    done: list[str] = []

    def first() -> None:
        raise StageError("the first is in use", hint="stop it")

    for act in (first, lambda: done.append("second")):
        with attempts.step():
            act()
    assert done == ["second"]
    with pytest.raises(StageError, match="the first is in use"):
        attempts.check("not all is removed")


def test_several_errors_are_one_message() -> None:
    attempts = Attempts()
    done: list[str] = []

    def remove(name: str) -> None:
        if name == "a":
            raise StageError("a is in use", details="by b", hint="stop b")
        if name == "c":
            raise OSError(errno.EROFS, "Read-only file system", "/there/c")
        done.append(name)

    attempts.each(remove, ["a", "b", "c", "d"])
    assert sorted(done) == ["b", "d"]
    with pytest.raises(StageError) as caught:
        attempts.check("not all is removed")
    assert str(caught.value).splitlines() == [
        "not all is removed",
        "  a is in use: by b",
        "  /there/c cannot be written: Read-only file system",
        "  what now: stop b",
    ]
    assert isinstance(attempts.errors[1], HostError)


def test_nothing_is_raised_when_all_went_well() -> None:
    attempts = Attempts()
    attempts.each(len, ["a", "b"])
    attempts.check("not all is removed")
