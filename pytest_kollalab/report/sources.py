"""Masks secrets where other plugins read them: log records, and what Allure is about to write."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import local
from typing import Any

import pluggy

from pytest_kollalab.report.masking import Redactor

# The marker of allure-python-commons, which this module does not need for it.
allure_hook = pluggy.HookimplMarker("allure")
# Attachments are files. A larger one is no text that a test shows.
LARGEST_ATTACHMENT = 50_000_000

Mask = Callable[[str], str]


class MaskedRecords:
    """A factory of log records without secrets: `--log-file`, live logs and other handlers.

    Records without secrets, and their arguments, stay as they are.

    Args:
        mask: Masks the current secrets.
    """

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._before: Callable[..., logging.LogRecord] | None = None
        self._masking = local()

    def install(self) -> None:
        """Make records from now on."""
        if self._before is None:
            self._before = logging.getLogRecordFactory()
            logging.setLogRecordFactory(self)

    def remove(self) -> None:
        """Leave records to the factory before."""
        # A factory that was installed later uses this one, which then masks nothing.
        if self._before is not None and logging.getLogRecordFactory() is self:
            logging.setLogRecordFactory(self._before)
        self._mask = str

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        """A record, masked."""
        record = (self._before or logging.LogRecord)(*args, **kwargs)
        if getattr(self._masking, "active", False):
            return record  # of the masking itself
        self._masking.active = True
        try:
            self._hide(record)
        finally:
            self._masking.active = False
        return record

    def _hide(self, record: logging.LogRecord) -> None:
        try:
            message = record.getMessage()
        except Exception:  # noqa: BLE001 - a wrong format, which logging itself reports
            return
        if (masked := self._mask(message)) != message:
            record.msg, record.args = masked, ()
        if record.exc_info and record.exc_info[0] is not None:
            text = logging.Formatter().formatException(record.exc_info)
            if (masked := self._mask(text)) != text:
                # Formatters use it instead of the exception.
                record.exc_text = masked
        if record.stack_info:
            record.stack_info = self._mask(record.stack_info)


class AllureResults:
    """Masks results before Allure writes them, and attachments after; a plugin of Allure.

    Args:
        redactor: Returns what masks the current secrets.
        folder: The folder of the results.
    """

    def __init__(self, redactor: Callable[[], Redactor], folder: Path) -> None:
        self._redactor = redactor
        self._folder = folder

    @allure_hook(tryfirst=True)
    def report_result(self, result: object) -> None:
        """Mask the result of a test: messages, arguments of steps, parameters."""
        self._redactor().tree(result)

    @allure_hook(tryfirst=True)
    def report_container(self, container: object) -> None:
        """Mask what fixtures say."""
        self._redactor().tree(container)

    @allure_hook(tryfirst=True)
    def report_globals(self, globals_item: object) -> None:
        """Mask what belongs to no test."""
        self._redactor().tree(globals_item)

    @allure_hook(trylast=True)
    def report_attached_data(self, file_name: str) -> None:
        """Mask an attachment."""
        self._hide(self._folder / file_name)

    @allure_hook(trylast=True)
    def report_attached_file(self, file_name: str) -> None:
        """Mask the copy of an attached file."""
        self._hide(self._folder / file_name)

    def _hide(self, path: Path) -> None:
        # What is no text, such as a picture, stays as it is.
        with suppress(OSError, UnicodeDecodeError):
            if path.stat().st_size <= LARGEST_ATTACHMENT:
                text = path.read_bytes().decode()
                if (masked := self._redactor()(text)) != text:
                    path.write_bytes(masked.encode())
