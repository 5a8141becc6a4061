"""A stage for a test: had from the lab, or a failure that is explained once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_kollalab.system.errors import KollalabError, NeedsLabError

if TYPE_CHECKING:
    from pytest_kollalab.engine.made import Made
    from pytest_kollalab.engine.runs import LabFailure
    from pytest_kollalab.lab.lab import Lab

M = TypeVar("M", bound="Made")


# pytest offers this class as an attribute of a function only, which mypy does not take for a class.
class BrokenLab(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """A stage could not be had: one line for each test, explained once when the session ends.

    Attributes:
        text: The whole message.
        explained: False for the first test that meets the failure.
    """

    def __init__(self, failure: LabFailure, *, explained: bool) -> None:
        super().__init__(failure.line, pytrace=False)
        self.text = failure.text
        self.explained = explained


def ensure(lab: Lab, kind: type[M]) -> M:
    """Have what a stage makes for a test; a failure is its message, without a traceback."""
    from pytest_kollalab.settings.config import STAGES

    stage = kind.stage
    if STAGES.index(stage) > STAGES.index(lab.options.until):
        pytest.skip(f"needs stage {stage}; this session stops after {lab.options.until}")
    try:
        made = lab.ensure(stage)
    except NeedsLabError as error:
        pytest.skip(error.brief)
    except KollalabError as error:
        failure = lab.session.fail(error)
        raise BrokenLab(failure, explained=failure.text != str(error)) from None
    assert isinstance(made, kind)
    return made
