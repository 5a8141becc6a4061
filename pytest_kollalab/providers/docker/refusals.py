"""Docker's refusals as errors with a message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pytest_kollalab.system.errors import StageError

LOG = "see the daemon's own log, then run again"


@contextmanager
def refusals(what: str, hint: str = LOG) -> Iterator[None]:
    """Turn an answer of docker that refuses something into a StageError.

    Args:
        what: What could not be done, in one line.
        hint: What the user can do.
    """
    from docker.errors import APIError

    try:
        yield
    except APIError as error:
        raise StageError(what, details=str(error.explanation or error), hint=hint) from error
