"""The end of a session: labs are removed or kept, and summaries are written."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.report.masking import Redactor, lab_secrets
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import BusyError, KollalabError

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
        """Remove or keep a lab, as its options say, and write its summary."""
        keep, before = lab.options.keep, lab.is_kept()
        asked = keep == "always" or (keep == "failed" and self.failed)
        stays = asked or (before and keep != "never")
        try:
            summary = self.complete(lab.summary(stays=stays, before=before and not asked))
            if stays:
                lab.keep()
                lab.lease.release()
            else:
                self.kept_logs |= _keep_logs(lab, self.failures)
                if before or not self.quiet:
                    was = ", which was there before" if before else ""
                    self.say(f"kollalab: removing lab {lab.name}{was}")
                started = time.monotonic()
                lab.destroy()
                summary = replace(summary, removed_in=round(time.monotonic() - started, 1))
            self._summarize(lab, summary)
        except BusyError:
            self.say(f"kollalab: lab {lab.name} is used by another session, which will remove it")
        except KollalabError as error:
            self.say(f"kollalab: {error}")

    def _summarize(self, lab: Lab, summary: Summary) -> None:
        folders = [lab.paths.state / "summaries" / lab.name]
        if lab.options.artifacts:
            folders.append(Path(self.folder, lab.options.artifacts).resolve())
        try:
            summary.write(*folders)
        except OSError as error:
            self.say(f"kollalab: the summary could not be written: {error}")
        for line in summary.kept_lines() if self.quiet else summary.lines():
            self.say(f"kollalab: {line}")


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
