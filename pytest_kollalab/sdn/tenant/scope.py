"""Scopes: when resources are removed, and when they are waited for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import ParamSpec, Self, TypeVar

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.system.attempts import Attempts

P = ParamSpec("P")
T = TypeVar("T")


class Removals(ExitStack):
    """Removals in reverse order. One that fails does not stop the others, and each is told."""

    def __init__(self) -> None:
        super().__init__()
        self._attempts = Attempts()

    def callback(
        self, callback: Callable[P, T], /, *args: P.args, **kwds: P.kwargs
    ) -> Callable[P, T]:
        """Push a removal: a function and its arguments."""
        super().callback(self._attempt, callback, *args, **kwds)
        return callback

    def run(self) -> Attempts:
        """Do all removals; what failed is in the result."""
        with self._attempts.step():
            super().close()
        done, self._attempts = self._attempts, Attempts()
        return done

    def close(self) -> None:
        """Do all removals.

        Raises:
            KollalabError: Several failed, or one with this error; any other error of a single one
                is raised as it is.
        """
        self.run().check("not all that was made could be removed")

    def _attempt(self, callback: Callable[P, T], /, *args: P.args, **kwds: P.kwargs) -> None:
        with self._attempts.step():
            callback(*args, **kwds)


class Scope:
    """Removes resources in reverse order: at the end of a `part` block, or with the scope."""

    def __init__(self) -> None:
        self._undo = Removals()
        self._part: Removals | None = None
        self._waiting: list[Callable[[], object]] | None = None
        # Counts resources made outside blocks of `part`. Scenarios do not need it.
        self.generation = 0

    @property
    def undo(self) -> Removals:
        """The stack of removals: a method that makes a resource pushes its removal here."""
        if self._part is not None:
            return self._part
        self.generation += 1
        return self._undo

    @contextmanager
    def part(self) -> Iterator[None]:
        """Remove the resources made in the block when it ends, in reverse order."""
        outer, part = self._part, Removals()
        self._part = part
        try:
            yield
        finally:
            self._part = outer
            part.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let the resources made in the block start in parallel: wait for them when it ends."""
        self._waiting = []
        try:
            yield
            waiting, self._waiting = self._waiting, None
            for wait_for in waiting:
                wait_for()
        finally:
            self._waiting = None

    def later(self, wait_for: Callable[[], object]) -> None:
        """Call `wait_for` at the end of the block of `together`, or now if there is none."""
        if self._waiting is None:
            wait_for()
        else:
            self._waiting.append(wait_for)


class Temporary(ABC):
    """A resource that can be used as a context manager: it is deleted when the block ends."""

    @abstractmethod
    def delete(self) -> None:
        """Delete the resource; calling it again does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with nullcontext() if kind is None else workarounds.clearing_up():
            self.delete()
