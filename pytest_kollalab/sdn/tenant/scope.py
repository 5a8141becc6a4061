"""The scope: how long what is made stays, and when it is waited for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from typing import Self

from pytest_kollalab.sdn import workarounds


class Scope:
    """What is made goes last first: with the block of `part` it is made in, else at the end."""

    def __init__(self) -> None:
        self._undo = ExitStack()
        self._part: ExitStack | None = None
        self._waiting: list[Callable[[], object]] | None = None
        # Counts what was made outside blocks of `part`: of no interest to scenarios.
        self.generation = 0

    @property
    def undo(self) -> ExitStack:
        """Where a new word of the vocabulary pushes the removal of what it made."""
        if self._part is not None:
            return self._part
        self.generation += 1
        return self._undo

    @contextmanager
    def part(self) -> Iterator[None]:
        """What is made in the block goes when it ends, last first; the rest stays."""
        outer, part = self._part, ExitStack()
        self._part = part
        try:
            yield
        finally:
            self._part = outer
            part.close()

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is made in the block is waited for when it ends: so it comes up at the same time."""
        self._waiting = []
        try:
            yield
            waiting, self._waiting = self._waiting, None
            for wait_for in waiting:
                wait_for()
        finally:
            self._waiting = None

    def later(self, wait_for: Callable[[], object]) -> None:
        """Wait for something at the end of the block of `together`, or now if there is none."""
        if self._waiting is None:
            wait_for()
        else:
            self._waiting.append(wait_for)


class Temporary(ABC):
    """What is deleted at the end of the block that it is the context of, if not before."""

    @abstractmethod
    def delete(self) -> None:
        """Remove it; a second time does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with nullcontext() if kind is None else workarounds.clearing_up():
            self.delete()
