"""The progress of builds, and estimates from the history of earlier ones."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HISTORY = "history.jsonl"
# What each line of the history has.
WRITTEN = frozenset(("stage", "outcome", "seconds", "reason", "key"))
# Estimates are the median of this many builds, since a single one may have been on a busy host.
REMEMBERED = 5


@dataclass(frozen=True)
class Expected:
    """The expected seconds and steps of a build. None where there is no history."""

    seconds: float | None = None
    steps: int | None = None

    def left(self, elapsed: float) -> float | None:
        """The expected remaining seconds, or None if unknown or already exceeded."""
        if self.seconds is None or elapsed >= self.seconds:
            return None
        return self.seconds - elapsed


class Watcher:
    """Is told of the progress of stages. This base class does nothing."""

    def begin(self, stage: str, expected: Expected) -> None:
        """A build begins."""

    def step(self, stage: str, what: str) -> None:
        """A build begins its next step."""

    def end(self, stage: str) -> None:
        """A build has succeeded or failed."""

    def line(self, text: str) -> bool:
        """Show a line. Returns false if the caller has to show it."""
        return False


def read(path: Path) -> list[dict[str, Any]]:
    """Read the history, oldest build first. Lines that are damaged or not complete are skipped."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []  # none yet, or not readable: it is for estimates and summaries only
    rows = []
    for line in text.splitlines():
        with suppress(ValueError, TypeError):
            row = json.loads(line)
            if isinstance(row, dict) and set(row) >= WRITTEN and float(row["seconds"]) >= 0:
                rows.append(row)
    return rows


def expect(
    rows: Iterable[Mapping[str, Any]], stage: str, key: str = "", *, adopts: bool = False
) -> Expected:
    """Estimate the next build of a stage from earlier builds that were not resumed.

    Args:
        rows: The history.
        stage: The stage.
        key: Its key. Only builds of the same are looked at, if there are any.
        adopts: Whether it takes over what was built elsewhere, which takes another time.
    """
    whole = [
        row
        for row in rows
        if row["stage"] == stage
        and row["outcome"] == "built"
        and not row.get("resumed")
        and bool(row.get("adopts")) == adopts
    ]
    whole = ([row for row in whole if row["key"] == key] or whole)[-REMEMBERED:]
    steps = [int(row["steps"]) for row in whole if row.get("steps")]
    return Expected(
        statistics.median(float(row["seconds"]) for row in whole) if whole else None,
        int(statistics.median(steps)) if steps else None,
    )


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
