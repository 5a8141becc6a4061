"""Signals: the first one ends politely, the second one at once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from pytest_kollalab.system import process

KINDS = (signal.SIGINT, signal.SIGTERM)


class Signals:
    """What SIGINT and SIGTERM do while a lab is in use.

    The first one says `first` and raises KeyboardInterrupt; once `removing` is set there is
    nothing to interrupt any more, so it is only said. The second one says `second`, ends the
    processes that this one started, and exits at once with 128 and its number. `last` is the
    number of the latest one, `handle` the file descriptor to say it to; `pass_on` is called with
    the first one, for other processes of the run. As long as the lab is not `used`, signals do
    what they did before.
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
        """Begin; does nothing in a thread, where signals cannot be handled."""
        if self._before or threading.current_thread() is not threading.main_thread():
            return
        for kind in KINDS:
            self._before[kind] = signal.signal(kind, self._received)

    def restore(self) -> None:
        """Let signals do again what they did before."""
        for kind, handler in self._before.items():
            signal.signal(kind, handler)
        self._before.clear()

    def _received(self, number: int, _frame: FrameType | None) -> None:
        if not self.used():
            self.restore()
            os.kill(os.getpid(), number)
            return
        self.seen += 1
        self.last = number
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        if self.seen == 1:
            self._say(f"{name}: {self.first}; once more stops at once")
            if self.pass_on is not None:
                self.pass_on(number)
            if not self.removing:
                raise KeyboardInterrupt
            return
        self._say(f"{name} again: stopped. {self.second}")
        try:
            for pid in process.children():
                with suppress(OSError):
                    os.kill(pid, signal.SIGTERM)
        finally:
            # Whatever was interrupted, such as an import: this is the end.
            os._exit(128 + number)

    def _say(self, text: str) -> None:
        # No file object: a handler may come in the middle of another write.
        os.write(self.handle, f"\nkollalab: {text}\n".encode())
