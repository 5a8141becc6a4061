"""Errors: what, why, what now; and they survive the way from a worker to the controller."""

from __future__ import annotations

import pickle
from pathlib import Path

from pytest_kollalab.errors import HostError, KollalabError, StageError


def test_str_says_what_why_and_what_now() -> None:
    error = KollalabError("it broke", details="line 1\nline 2\n", hint="mend it", log=Path("a.log"))
    assert str(error).splitlines() == [
        "it broke",
        "  line 1",
        "  line 2",
        "  log: a.log",
        "  what now: mend it",
    ]


def test_str_of_a_brief_alone_is_the_brief() -> None:
    assert str(HostError("no docker")) == "no docker"


def test_pickling_keeps_everything() -> None:
    error = StageError("a", details="b", hint="c", log=Path("d"))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is StageError
    assert str(again) == str(error)
