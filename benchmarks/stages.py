"""Seconds per stage, from the history that every build writes: a table, and JSON for a file.

python -m benchmarks.stages                 what the last build of each stage took
python -m benchmarks.stages --up            bring the lab up first, with whatever is cached
python -m benchmarks.stages --json out.json
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import progress
from pytest_kollalab.settings.config import STAGES, Options
from pytest_kollalab.system.paths import default_paths
from pytest_kollalab.system.run import run

Row = dict[str, Any]


def history(path: Path) -> list[Row]:
    """The builds of all labs on this host, oldest first."""
    return progress.read(path)


def last_builds(rows: Iterable[Row], lab: str) -> list[Row]:
    """The last successful build of each stage: the lab's own, or a shared one by whichever lab."""
    found: dict[str, Row] = {}
    for row in rows:
        if row["outcome"] == "built" and (row["lab"] == lab or row["stage"] in ("tools", "images")):
            found[row["stage"]] = row
    return [found[stage] for stage in STAGES if stage in found]


def measure_up(name: str, features: Iterable[str]) -> list[Row]:
    """Bring the lab up through the command line; returns the time of the plan and of it all."""
    chosen = [word for feature in features for word in ("--feature", feature)]
    rows = []
    for verb in ("plan", "up"):
        started = time.monotonic()
        command = [sys.executable, "-m", "pytest_kollalab.cli", verb, "--name", name, *chosen]
        run(command, on_line=lambda line: print(line, file=sys.stderr))
        rows.append({"stage": f"kollalab {verb}", "seconds": round(time.monotonic() - started, 1)})
    return rows


def table(rows: Iterable[Row]) -> str:
    """The rows as text with aligned columns."""
    lines = [f"{'stage':<14} {'seconds':>8}  {'when':<20}  why"]
    lines += [
        f"{row['stage']:<14} {row['seconds']:>8.1f}  {row.get('time', ''):<20}"
        f"  {row.get('reason', '')}".rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Print the table, and write the JSON."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default=Options.name, help="name of the lab")
    parser.add_argument("--up", action="store_true", help="bring the lab up first")
    parser.add_argument("--feature", action="append", default=[], help="feature of the cloud")
    parser.add_argument("--json", metavar="FILE", default="-", help="where to (default: stdout)")
    given = parser.parse_args()
    measured = measure_up(given.name, given.feature) if given.up else []
    rows = [*last_builds(history(default_paths().state / "history.jsonl"), given.name), *measured]
    report = {"lab": given.name, "cores": os.cpu_count(), "stages": rows}
    text = json.dumps(report, indent=2)
    print(table(rows), file=sys.stderr if given.json == "-" else sys.stdout)
    if given.json == "-":
        print(text)
    else:
        Path(given.json).write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
