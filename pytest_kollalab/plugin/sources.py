"""The sources of secrets in a session: log records, and the results of Allure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.plugin.asked import uses_lab
from pytest_kollalab.report.sources import AllureResults, MaskedRecords

if TYPE_CHECKING:
    from pytest_kollalab.report.masking import Redactor


class Sources:
    """Masks secrets in log records and in Allure's results, until it is closed.

    Args:
        config: pytest's configuration.
        redactor: Returns what masks the current secrets.
        running: Returns the running test, if there is one.
    """

    def __init__(
        self,
        config: pytest.Config,
        redactor: Callable[[], Redactor],
        running: Callable[[], pytest.Item | None],
    ) -> None:
        self._redactor = redactor
        self._running = running
        self._records = MaskedRecords(self._mask)
        self._records.install()
        self._allure: Any = None
        self._results: AllureResults | None = None
        if folder := config.getoption("allure_report_dir", None):
            import allure_commons

            self._allure = allure_commons.plugin_manager
            self._results = AllureResults(redactor, Path(config.invocation_params.dir, folder))
            self._allure.register(self._results)

    def close(self) -> None:
        """Mask nothing from now on."""
        self._records.remove()
        if self._allure is not None:
            self._allure.unregister(self._results)

    def _mask(self, text: str) -> str:
        mask = self._redactor()
        running = self._running()
        if running is not None and not uses_lab(running):
            # A test that has nothing to do with the lab may look at its own records.
            return mask.known(text)
        return mask(text)
