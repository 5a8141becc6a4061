"""Signal handling: the first signal ends the run cleanly, the second one at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from pytest_kollalab.system import process
from pytest_kollalab.system.telling import telling

KINDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Handles SIGINT, SIGTERM and SIGHUP while a lab is in use.

    The first signal raises KeyboardInterrupt, unless `removing` is set. The second one ends the
    processes that this one started and exits at once with status 128 plus the signal's number.
    SIGHUP is never a second one: a terminal that is closed sends several. A process that was told
    to ignore it, by `nohup`, continues to do so.

    Args:
        first: The message for the first signal.
        second: The message for the second signal.
        handle: The file descriptor for messages.
        pass_on: Called with the number of the first signal, to pass it on to other processes.
        used: Whether the lab is in use. If not, signals have their previous effect.

    Attributes:
        removing: Whether the lab is being removed, which the first signal does not interrupt.
        seen: The number of signals so far.
        last: The number of the latest signal.
    """

    def __init__(
        self,
        first: str,
        second: str,
        *,
        handle: int = 2,
        pass_on: Callable[[int], None] | None = None,
        used: Callable[[], bool] = lambda: True,
    ) -> None:
        self.first = first
        self.second = second
        self.handle = handle
        self.pass_on = pass_on
        self.used = used
        self.removing = False
        self.seen = 0
        self.last = int(signal.SIGINT)
        self._before: dict[int, Any] = {}

    def install(self) -> None:
        """Install the handlers. Does nothing outside the main thread."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for kind in KINDS:
            if kind == signal.SIGHUP and signal.getsignal(kind) == signal.SIG_IGN:
                continue
            self._before[kind] = signal.signal(kind, self._received)

    def restore(self) -> None:
        """Restore the previous handlers."""
        for kind, handler in self._before.items():
            signal.signal(kind, handler)
        self._before.clear()

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if not self.used():
            self.restore()
            os.kill(os.getpid(), number)
            return
        if number == signal.SIGHUP and self.seen:
            return
        self.seen += 1
        self.last = number
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self.seen == 1:
            self._say(f"{name}: {self.first}; once more stops at once")
            if self.pass_on is not None:
                self.pass_on(number)
            if not self.removing and not _Delay.put_off():
                raise KeyboardInterrupt
            return
        self._say(f"{name} again: stopped. {self.second}")
        try:
            for pid in process.children():
                with suppress(OSError):
                    os.kill(pid, signal.SIGTERM)
        finally:
            # Exit here even if the signal interrupted something like an import.
            os._exit(128 + number)

    def _say(self, text: str) -> None:
        # A file object is not safe here: the signal may have interrupted a write to it.
        with telling():
            os.write(self.handle, f"\nkollalab: {text}\n".encode())


class _Delay:
    """How many blocks of `uninterrupted` the main thread is in, and whether a signal waits."""

    depth = 0
    waits = False

    @classmethod
    def put_off(cls) -> bool:
        """Let a signal wait if the main thread must not be interrupted now."""
        cls.waits = cls.waits or cls.depth > 0
        return cls.depth > 0


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let the first signal that ends a run wait for the end of the block.

    For a request that makes something and the note of how to remove it: interrupted between the
    two, it would be left behind. A second signal does not wait.
    """
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread is interrupted.
        yield
        return
    _Delay.depth += 1
    try:
        yield
    finally:
        _Delay.depth -= 1
        if _Delay.waits and not _Delay.depth:
            _Delay.waits = False
            raise KeyboardInterrupt


def ignore_hangup() -> None:
    """Leave it to the parent process to say what happens when the terminal is closed."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
