"""Steps of which one that fails does not stop the others, such as those of a removal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from pytest_kollalab.system.errors import KollalabError, StageError, as_message
from pytest_kollalab.system.threads import Threads

T = TypeVar("T")


class Attempts:
    """Collects the errors of steps.

    Attributes:
        errors: The errors so far, as messages where that is possible.
    """

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    @contextmanager
    def step(self) -> Iterator[None]:
        """A block whose error is collected."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the other steps are done
            self.add(error)

    def each(
        self, act: Callable[[T], Any], things: Iterable[T], *, at_once: int | None = None
    ) -> None:
        """Do something to each of several things at once.

        Args:
            act: Called with each thing.
            things: The things.
            at_once: The number of threads. The default is that of the library.
        """
        with Threads(at_once) as pool:
            jobs = [pool.submit(act, thing) for thing in things]
        for job in jobs:
            with self.step():
                job.result()

    def add(self, error: Exception) -> None:
        """Collect an error."""
        self.errors.append(as_message(error))

    def check(self, brief: str, hint: str = "") -> None:
        """Raise what was collected: a single error as it is, several in one message.

        Args:
            brief: What could not be done, if there are several errors.
            hint: What the user can do. The default is the hint of the first error.

        Raises:
            KollalabError: A step failed. Any other error is a defect of this package.
        """
        if not self.errors:
            return
        first, *others = self.errors
        if not others:
            raise first
        hints = (error.hint for error in self.errors if isinstance(error, KollalabError))
        raise StageError(
            brief,
            details="\n".join(dict.fromkeys(_line(error) for error in self.errors)),
            hint=hint or next(filter(None, hints), ""),
        ) from first


def _line(error: Exception) -> str:
    if isinstance(error, KollalabError):
        return f"{error.brief}: {error.details}" if error.details else error.brief
    return f"{type(error).__name__}: {error}"
