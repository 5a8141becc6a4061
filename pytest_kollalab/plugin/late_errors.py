"""Errors of teardowns, shown after the failures of tests: they are often their consequence."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

ERROR = "error"


class LateErrors:
    """Keeps the errors of teardowns out of pytest's first section and shows them after the others.

    pytest has a module's teardown in the name of the last test of the module, and shows errors
    before failures.
    """

    def __init__(self) -> None:
        self._late: list[Any] = []
        self._all: list[Any] = []

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> Generator[None]:
        """Let pytest show all other errors, and the failures."""
        stats = terminalreporter.stats
        self._all = stats.get(ERROR, [])
        self._late = [report for report in self._all if report.when == "teardown"]
        if self._late and stats.get("failed"):
            stats[ERROR] = [report for report in self._all if report not in self._late]
        else:
            self._late = []
        yield

    def show(self, terminalreporter: Any) -> None:
        """Show what was left out. Called before pytest's short summary, which has all of them."""
        if self._late:
            terminalreporter.stats[ERROR] = self._late
            terminalreporter.summary_errors()
            terminalreporter.stats[ERROR] = self._all
            self._late = []
