"""The summary of a run: its stages, whether they were reused or built, and what was kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import records as state
from pytest_kollalab.engine.records import Record
from pytest_kollalab.sdn import figures, workarounds
from pytest_kollalab.system import files
from pytest_kollalab.system.commands import carrying

FILE = "summary.json"
SHARED = ("tools", "images")


@dataclass(frozen=True)
class StageRow:
    """A stage in a run.

    Attributes:
        stage: Its name.
        action: `reuse`, `build` or `failed`.
        reason: Why it was reused or built.
        seconds: How long it took in this run.
        key: Its key.
    """

    stage: str
    action: str
    reason: str
    seconds: float
    key: str


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        lab: The name of the lab.
        run: The id of the run.
        stages: Its stages.
        kept: Whether the lab was kept.
        remove: The command that removes a kept lab.
        removed_in: Seconds that the removal took, None if the lab was not removed.
        figures: The measurements of the tests.
        workarounds: The workarounds that the tests used or were refused.
        before: Whether the lab was there before the run, and stays for that reason.
    """

    lab: str
    run: str
    stages: tuple[StageRow, ...]
    kept: bool
    remove: str
    removed_in: float | None = None
    figures: tuple[figures.FigureRow, ...] = ()
    workarounds: tuple[workarounds.WorkaroundRow, ...] = ()
    before: bool = False

    def lines(self) -> list[str]:
        """The lines of the printed summary."""
        lines = [
            f"{row.stage:<7} {row.action:<6} {row.seconds:>6.0f} s  {row.reason}"
            for row in self.stages
        ]
        if self.removed_in is not None:
            lines.append(f"lab {self.lab} was removed in {self.removed_in:.0f} s; caches stay")
        return lines + self.kept_lines()

    def kept_lines(self) -> list[str]:
        """Lines that say what was kept and how to remove it; empty if nothing was kept."""
        if not self.kept:
            return []
        how = "was there before and stays" if self.before else "is kept"
        return [f"lab {self.lab} {how}; remove it with: {self.remove}"]

    def write(self, *folders: Path) -> None:
        """Write summary.json into each folder."""
        for folder in folders:
            files.write(folder / FILE, json.dumps(asdict(self), indent=2) + "\n", mode=0o644)


def rows(
    run: str,
    lab: str,
    history: Sequence[Mapping[str, Any]],
    records: Mapping[str, Record | None],
) -> tuple[StageRow, ...]:
    """The stages of a run: those that it built, from the history, and those that it reused.

    Args:
        run: The id of the run.
        lab: The lab. In a run with several labs, only its stages and the shared ones count.
        history: The entries of the history.
        records: The record of each stage, in order, before anything is removed.
    """
    found = []
    for stage, record in records.items():
        mine = [
            row
            for row in history
            if row.get("run") == run
            and row["stage"] == stage
            and (row.get("lab", lab) == lab or stage in SHARED)
        ]
        if mine:
            last = mine[-1]
            action = "build" if last["outcome"] == "built" else str(last["outcome"])
            seconds = sum(float(row["seconds"]) for row in mine)
            found.append(
                StageRow(stage, action, str(last["reason"]), round(seconds, 1), str(last["key"]))
            )
        elif record is not None and record.status == state.READY:
            reason = f"unchanged since {record.created}"
            found.append(StageRow(stage, "reuse", reason, 0.0, record.key))
    return tuple(found)


def up_command(given: Mapping[str, str]) -> str:
    """The command that builds or starts a lab, with the options that mean it."""
    return carrying("kollalab up", given)


def down_command(given: Mapping[str, str]) -> str:
    """The command that removes a lab, with the options that mean it."""
    return carrying("kollalab down", given)
