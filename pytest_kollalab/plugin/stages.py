"""Builds the stage that a test needs; a failure is explained once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_kollalab.system.commands import carrying
from pytest_kollalab.system.errors import KollalabError, NeedsLabError

if TYPE_CHECKING:
    from pytest_kollalab.engine.made import Made
    from pytest_kollalab.engine.runs import LabFailure
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.settings.config import Options

M = TypeVar("M", bound="Made")
# How long each call of `ensure` took, until `spent` takes it.
SPENT: list[float] = []


# pytest has this class only as an attribute of a function, which mypy does not accept as a class.
class BrokenLab(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """A stage failed: each test gets one line, and the end of the session explains it once.

    Attributes:
        text: The whole message.
        explained: False for the first test that meets the failure.
    """

    def __init__(self, failure: LabFailure, *, explained: bool, line: str = "") -> None:
        super().__init__(line or failure.line, pytrace=False)
        self.text = failure.text
        self.explained = explained


def failed(text: str, options: Options) -> BaseException:
    """What fails a test with a message alone; raise it `from None`, or its cause is shown too.

    Args:
        text: The message. Commands in it get the options that they need to mean the same lab.
        options: The options of the lab.
    """
    from pytest_kollalab.settings.config import options_of

    return pytest.fail.Exception(carrying(text, options_of(options)), pytrace=False)


def broken(lab: Lab, error: KollalabError) -> BrokenLab:
    """What fails a test when the lab, or the cloud in its place, cannot be used; `from None`."""
    failure = lab.session.fail(error)
    # Of a cloud the message itself says that it is no lab.
    line = failure.brief if lab.options.cloud else ""
    return BrokenLab(failure, explained=failure.text != str(error), line=line)


def spent() -> float:
    """The seconds that stages took since the last call: they are the lab's and not the test's."""
    seconds = sum(SPENT)
    SPENT.clear()
    return seconds


def ensure(lab: Lab, kind: type[M]) -> M:
    """Build a stage for a test if needed, and return its result.

    A failure fails the test with its message and without a traceback.

    Args:
        lab: The lab.
        kind: The class of the stage's result.
    """
    from pytest_kollalab.settings.config import STAGES

    stage = kind.stage
    if STAGES.index(stage) > STAGES.index(lab.options.until):
        pytest.skip(f"needs stage {stage}; this session stops after {lab.options.until}")
    began = time.monotonic()
    try:
        made = lab.ensure(stage)
    except NeedsLabError as error:
        pytest.skip(error.brief)
    except KollalabError as error:
        raise broken(lab, error) from None
    finally:
        SPENT.append(time.monotonic() - began)
    assert isinstance(made, kind)
    return made
