"""Threads that have ended when their block is left, also after Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Threads(ThreadPoolExecutor):
    """A thread pool whose block is left only when its threads do nothing any more.

    Ctrl-C interrupts the wait of an ordinary pool. Its threads would then go on to make what the
    caller is about to undo.
    """

    def __init__(self, most: int | None = None) -> None:
        super().__init__(most)
        self._jobs: list[Future[object]] = []

    def submit(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function in a thread."""
        job = super().submit(function, *args, **kwargs)
        self._jobs.append(job)  # type: ignore[arg-type]
        return job

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait for all threads. After an error or Ctrl-C, what has not begun is left out."""
        # Not with join(): interrupted once, it takes the thread for ended (CPython issue 90882).
        try:
            self._finish(cancel=error is not None)
        except BaseException:
            self._finish(cancel=True)
            raise
        finally:
            self.shutdown()

    def _finish(self, *, cancel: bool) -> None:
        for job in self._jobs if cancel else ():
            job.cancel()
        wait(self._jobs)
