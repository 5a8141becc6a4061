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
class Likeness:
    """What builds of a stage have in common that take about the same time.

    Attributes:
        features: What is built, such as the features of a lab, sorted.
        manner: How it is built, such as the provider of nodes. Builds of another manner tell
            nothing.
    """

    features: tuple[str, ...] = ()
    manner: str = ""


@dataclass(frozen=True)
class Expected:
    """The expected duration of a build.

    Attributes:
        seconds: The seconds; None where there is no history.
        steps: The number of steps; None where there is no history.
        of: The features of the builds that tell it, if they are not those of this build. The
            estimate is a rough one then.
    """

    seconds: float | None = None
    steps: int | None = None
    of: tuple[str, ...] | None = None

    def told(self) -> str:
        """How long the build takes, for a line before it; empty if that is not known."""
        if self.seconds is None:
            return ""
        if self.of is None:
            return f"usually {clock(self.seconds)}"
        return f"about {clock(self.seconds)}, as with {' '.join(self.of) or 'nothing more'}"

    def remaining(self, elapsed: float) -> str:
        """How much longer the build takes, or by how much it is late; empty if not known."""
        if self.seconds is None:
            return ""
        if elapsed >= self.seconds:
            usual = "usual" if self.of is None else "expected"
            return f"longer than {usual} by {clock(elapsed - self.seconds)}"
        about = "" if self.of is None else "about "
        return f"{about}{clock(self.seconds - elapsed)} left"


NOTHING_ALIKE = Likeness()


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
    rows: Iterable[Mapping[str, Any]],
    stage: str,
    key: str = "",
    *,
    like: Likeness = NOTHING_ALIKE,
    adopts: bool = False,
) -> Expected:
    """Estimate the next build of a stage from earlier builds that were not resumed.

    Builds of the same key tell most, then those of the same features, then those of the features
    that differ least.

    Args:
        rows: The history.
        stage: The stage.
        key: Its key.
        like: What it has in common with others.
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
    same = [row for row in whole if row["key"] == key]
    of: tuple[str, ...] | None = None
    if not same:
        same, of = _nearest([row for row in whole if _manner(row) == like.manner], like.features)
    same = same[-REMEMBERED:]
    steps = [int(row["steps"]) for row in same if row.get("steps")]
    return Expected(
        statistics.median(float(row["seconds"]) for row in same) if same else None,
        int(statistics.median(steps)) if steps else None,
        of,
    )


def _nearest(
    rows: list[Mapping[str, Any]], features: tuple[str, ...]
) -> tuple[list[Mapping[str, Any]], tuple[str, ...] | None]:
    """The builds of the features that differ least, and these features unless they are the same.

    Of several that differ as much, those that were built last.
    """
    best: tuple[str, ...] | None = None
    for row in rows:
        found = tuple(row["features"])
        if best is None or len({*found} ^ {*features}) <= len({*best} ^ {*features}):
            best = found
    if best is None:
        return [], None
    return [r for r in rows if tuple(r["features"]) == best], None if best == features else best


def _manner(row: Mapping[str, Any]) -> str | None:
    """How a row's stage was built; None if an older version wrote it, which did not say."""
    features = row.get("features")
    is_told = isinstance(features, list) and all(isinstance(each, str) for each in features)
    return str(row.get("manner", "")) if is_told else None


def clock(seconds: float) -> str:
    """Format seconds as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
