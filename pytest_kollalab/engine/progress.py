"""The progress of stages: what a watcher is told, and what earlier runs say of the rest."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HISTORY = "history.jsonl"
# Of so many builds of a stage the middle one is taken: one on a busy host says little.
REMEMBERED = 5


@dataclass(frozen=True)
class Expected:
    """What a build should take by the history of earlier ones; None where there is none."""

    seconds: float | None = None
    steps: int | None = None

    def left(self, elapsed: float) -> float | None:
        """The seconds that are left; None when nobody can tell, or not any more."""
        if self.seconds is None or elapsed >= self.seconds:
            return None
        return self.seconds - elapsed


class Watcher:
    """Somebody who watches stages; this one looks away."""

    def begin(self, stage: str, expected: Expected) -> None:
        """A build begins."""

    def step(self, stage: str, what: str) -> None:
        """A build has come to its next step."""

    def end(self, stage: str) -> None:
        """A build is over, well or badly."""

    def line(self, text: str) -> bool:
        """Show a line; false when whoever asks has to show it."""
        return False


def read(path: Path) -> list[dict[str, Any]]:
    """The history, oldest first; a line that a killed run left half written is skipped."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


def expect(rows: Iterable[Mapping[str, Any]], stage: str) -> Expected:
    """What the next whole build of a stage should take."""
    whole = [
        row
        for row in rows
        if row["stage"] == stage and row["outcome"] == "built" and not row.get("resumed")
    ][-REMEMBERED:]
    steps = [int(row["steps"]) for row in whole if row.get("steps")]
    return Expected(
        statistics.median(float(row["seconds"]) for row in whole) if whole else None,
        int(statistics.median(steps)) if steps else None,
    )


def clock(seconds: float) -> str:
    """Minutes and seconds, for people."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
