"""The end of a session: labs are removed or kept, and summaries are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.report.masking import Redactor, lab_secrets
from pytest_kollalab.report.summary import down_command
from pytest_kollalab.settings.config import options_of
from pytest_kollalab.system import files
from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.commands import carrying
from pytest_kollalab.system.errors import BusyError, KollalabError, SavedStatesError, as_message

if TYPE_CHECKING:
    from pytest_kollalab.engine.runs import LabFailure
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.report.summary import Summary


@dataclass
class Finish:
    """Removes or keeps the labs at the end of a session.

    Attributes:
        failed: Whether a test has failed, or a lab could not be built.
        failures: The first failure of each lab.
        complete: Adds to a summary what only the session knows.
        folder: The folder in which pytest was started.
        say: Shows a line.
        quiet: Whether to show only what is left on the host.
        kept_logs: Where the logs of failures are after their labs are removed, by their old paths.
    """

    failed: bool
    failures: Iterable[LabFailure]
    complete: Callable[[Summary], Summary]
    folder: Path
    say: Callable[[str], None]
    quiet: bool
    kept_logs: dict[str, Path]

    def leave(self, lab: Lab) -> None:
        """Remove or keep a lab, as its options say, and write its summary.

        The lab comes first: nothing that fails beside keeps it from being removed.
        """
        keep, before = lab.options.keep, lab.is_kept()
        asked = keep == "always" or (keep == "failed" and self.failed)
        stays = asked or (before and keep != "never")
        beside = Attempts()
        summary: Summary | None = None
        with beside.step():
            summary = self.complete(lab.summary(stays=stays, before=before and not asked))
        try:
            if stays:
                with beside.step():
                    lab.keep()
            else:
                with beside.step():
                    self.kept_logs |= _keep_logs(lab, self.failures)
                seconds = self._remove(lab, before=before)
                if summary is not None:
                    summary = replace(summary, removed_in=round(seconds, 1))
        except BusyError:
            self.say(f"kollalab: lab {lab.name} is used by another session, which will remove it")
        except SavedStatesError as error:
            self.say(carrying(f"kollalab: {error}", options_of(lab.options)))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next lab is removed
            told = carrying(_message(as_message(error)), options_of(lab.options))
            command = down_command(options_of(lab.options))
            self.say(f"kollalab: lab {lab.name} is not removed; remove it with: {command}\n{told}")
        else:
            if summary is not None:
                self._summarize(lab, summary)
        finally:
            lab.lease.release()
        for each in beside.errors:
            self.say(f"kollalab: {_message(each)}")

    def _remove(self, lab: Lab, *, before: bool) -> float:
        """Remove a lab and return how long it took in seconds."""
        if before or not self.quiet:
            was = ", which was there before" if before else ""
            self.say(f"kollalab: removing lab {lab.name}{was}")
        started = time.monotonic()
        lab.destroy()
        return time.monotonic() - started

    def _summarize(self, lab: Lab, summary: Summary) -> None:
        folders = [lab.paths.state / "summaries" / lab.name]
        if lab.options.artifacts:
            folders.append(Path(self.folder, lab.options.artifacts).resolve())
        try:
            files.private(folders[0])
            summary.write(*folders)
        except OSError as error:
            self.say(f"kollalab: the summary could not be written: {error}")
        for line in summary.kept_lines() if self.quiet else summary.lines():
            self.say(f"kollalab: {line}")


def _message(error: Exception) -> str:
    return str(error) if isinstance(error, KollalabError) else f"{type(error).__name__}: {error}"


def _keep_logs(lab: Lab, failures: Iterable[LabFailure]) -> dict[str, Path]:
    """Copy the logs of failures out of a lab before it is removed; returns the new paths by old."""
    logs = {failure.log for failure in failures if Path(failure.log).is_relative_to(lab.folder)}
    if not logs:
        return {}
    mask = Redactor(lab_secrets(lab.folder))
    kept = {}
    for log in logs:
        path = Path(log)
        there = lab.paths.state / "summaries" / lab.name / path.name
        with suppress(OSError):
            files.write(there, mask(path.read_text(encoding="utf-8", errors="replace")))
            kept[log] = there
    return kept
