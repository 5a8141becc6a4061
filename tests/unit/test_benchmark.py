"""The benchmark's reading of the history."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.stages import history, last_builds, table


def row(lab: str, stage: str, seconds: float, outcome: str = "built") -> dict[str, Any]:
    found = {"lab": lab, "stage": stage, "seconds": seconds, "outcome": outcome, "reason": "r"}
    return found | {"run": "run", "key": "key"}


ROWS = [
    row("a", "cloud", 9.0),
    row("a", "nodes", 1.0),
    row("b", "nodes", 2.0),
    row("b", "images", 600.0),
    row("a", "cloud", 5.0),
    row("a", "cloud", 3.0, "failed"),
]


def test_the_last_good_build_of_each_stage_counts() -> None:
    found = [(row["stage"], row["seconds"]) for row in last_builds(ROWS, "a")]
    assert found == [("images", 600.0), ("nodes", 1.0), ("cloud", 5.0)]


def test_no_history_is_an_empty_table(tmp_path: Path) -> None:
    assert history(tmp_path / "none.jsonl") == []
    assert len(table([]).splitlines()) == 1


def test_history_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    assert history(path) == ROWS
    assert "600.0" in table(ROWS)
