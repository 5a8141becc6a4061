"""Failures that read like the test: without the insides of the vocabulary, with short names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import Any

from pytest_kollalab.system.errors import KollalabError

PACKAGE = Path(__file__).parents[1]
# Functions that a block of ours passes through on its way to the test.
GLUE = frozenset((contextlib.__file__,))
FOREIGN = re.compile(r"[/\\](_pytest|pluggy|pytest|xdist)[/\\]")
# The local variable by which pytest knows that a frame is not shown.
HIDDEN = "__tracebackhide__"
OWN_NAME = re.compile(r"\bpytest_kollalab(?:\.\w+)+\.(\w+Error\b)")
# What the message of a broken lab says itself.
BROKEN = re.compile(r"\bpytest_kollalab(?:\.\w+)+\.BrokenLab: ")


def hide_insides(error: BaseException) -> None:
    """Mark the frames of this package as hidden, for an error that leads there from a test.

    A test that calls a word of the vocabulary is shown up to that call: the message says what the
    word has seen. Other errors than assertions and those of this package keep their frames.

    Args:
        error: The error, as it was caught.
    """
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    inside = [frame for frame in frames if _is_inside(frame)]
    others = (frame for frame in frames if frame not in inside and not _is_foreign(frame))
    if not isinstance(error, AssertionError | KollalabError) or not any(others):
        return
    if isinstance(error, KollalabError) and frames[-1] in inside:
        # Its message has what the cause says.
        error.__cause__, error.__suppress_context__ = None, True
    for frame in inside:
        frame.f_locals[HIDDEN] = True


def is_of_us(error: KollalabError) -> bool:
    """Whether no test, and nothing of a project, has had a part in an error."""
    frames = [frame for frame, _ in walk_tb(error.__traceback__)]
    return all(_is_inside(frame) or _is_foreign(frame) for frame in frames)


def shorten(report: Any) -> None:
    """Name the errors of this package in pytest's report by their classes, without modules."""
    chain = getattr(report.longrepr, "chain", ())
    for traceback, crash, _ in chain:
        if crash is not None:
            crash.message = _short(crash.message)
        for entry in traceback.reprentries:
            if hasattr(entry, "lines"):
                entry.lines[:] = [_short(line) for line in entry.lines]
            for place in _places(entry):
                place.message = _short(place.message)


def _places(entry: Any) -> Iterator[Any]:
    if getattr(entry, "reprfileloc", None) is not None:
        yield entry.reprfileloc


def _is_inside(frame: FrameType) -> bool:
    path = frame.f_code.co_filename
    return path in GLUE or Path(path).is_relative_to(PACKAGE)


def _is_foreign(frame: FrameType) -> bool:
    return FOREIGN.search(frame.f_code.co_filename) is not None


def _short(text: str) -> str:
    return BROKEN.sub("", OWN_NAME.sub(r"\1", text))
