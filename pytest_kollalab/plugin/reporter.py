"""The reporter: shows lines on the terminal of this process, whatever pytest captures."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.system.telling import is_read, lenient, redirect, telling

if TYPE_CHECKING:
    from pytest_kollalab.engine.progress import Watcher


def uncaptured(config: pytest.Config) -> AbstractContextManager[Any]:
    """A block in which pytest captures nothing."""
    capture = config.pluginmanager.getplugin("capturemanager")
    return nullcontext() if capture is None else capture.global_and_fixture_disabled()


class Reporter:
    """The terminal of a process. A worker of pytest-xdist has none."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._watcher: Watcher | None = None
        # Whether standard output could not be written: a pipe without a reader, a full disk.
        self._is_gone = False

    def show(self, text: str) -> None:
        """Show a line now."""
        reporter: Any = self._config.pluginmanager.getplugin("terminalreporter")
        if reporter is None:
            return
        try:
            self._show(reporter, text)
        except OSError:
            # Nobody reads standard output any more.
            self._is_gone = True
            with telling(), uncaptured(self._config):
                os.write(2, f"{text}\n".encode())

    def go_on(self) -> None:
        """Lead standard output elsewhere if nobody reads it any more, for what comes last."""
        with telling(), uncaptured(self._config):
            if self._is_gone or not is_read(1):
                redirect(1)

    def _show(self, reporter: Any, text: str) -> None:
        if self._watcher is not None and self._watcher.line(text):
            return
        with uncaptured(self._config):
            reporter.ensure_newline()
            if self._config.get_terminal_writer().width_of_current_line:
                # xdist writes the results of workers in a line that the reporter does not know of.
                reporter.write_line("")
            reporter.write_line(text)
            # Without a flush, a reader of a pipe would see the line only after the stage.
            reporter.flush()

    def watcher(self, say: Callable[[str], None]) -> Watcher:
        """The watcher that shows the progress of stages.

        Args:
            say: Shows a line in a worker, which has no terminal, and with `-q`.
        """
        from pytest_kollalab.report import live

        verbosity = self._config.get_verbosity()
        if verbosity == -1:
            # With `-q` seldom, and without live lines.
            self._watcher = self._watcher or live.Plain(say, silence=live.QUIET)
        elif hasattr(self._config, "workerinput"):
            self._watcher = self._watcher or live.Plain(say)
        elif self._watcher is None:
            with uncaptured(self._config):
                # A copy of the handle, because pytest later captures standard output.
                handle = os.dup(1)
            terminal = lenient(os.fdopen(handle, "w", encoding="utf-8", errors="replace"))
            self._config.add_cleanup(terminal.close)
            self._watcher = live.watcher(terminal, verbosity)
        return self._watcher
