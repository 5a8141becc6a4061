"""Measure a lab beside what it is compared with, in one run on this host.

tox -e benchmarks -- --quick     what takes less than five minutes each
tox -e benchmarks                all of it: stock builds and deploys as well
    --json FILE                  the figures into a file
    --docs                       table and plot into docs/performance.md
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import report
from benchmarks.parts import Bench

DOCS = Path(__file__).resolve().parents[1] / "docs"


def say(text: str) -> None:
    """Show a line of progress, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def measure(bench: Bench, *, quick: bool) -> None:
    """Measure all parts, or the quick ones; what was compared becomes a ratio."""
    figures = bench.figures
    if not quick:
        bench.stock()
        # Ours has the images fetched as well; nobody is quicker at that than we are.
        parts = ("pull_seconds", "stock_prechecks_seconds", "stock_deploy_seconds")
        figures["stock_all_seconds"] = round(sum(figures[name] for name in parts), 1)
    bench.ours(compared=not quick)
    bench.ratio("deploy_vs_stock", "deploy_seconds", "stock_all_seconds")
    bench.ratio("destroy_vs_stock", "destroy_seconds", "stock_destroy_seconds")
    if not quick:
        bench.images()


def main() -> None:
    """Measure; write table, JSON and plot, also of what was measured before a failure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="only what takes under five minutes")
    parser.add_argument("--feature", action="append", help="feature of the labs (default: sfc)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures here too")
    parser.add_argument("--docs", action="store_true", help="write table and plot into the docs")
    given = parser.parse_args()
    features = tuple(given.feature or ("sfc",))
    folder = Path(tempfile.mkdtemp(prefix="kollalab-benchmark-"))
    say(f"logs: {folder}")
    bench = Bench(features, folder, say)
    try:
        measure(bench, quick=given.quick)
    finally:
        print(report.table(bench.figures))
        if given.json is not None:
            given.json.write_text(report.document(bench.figures, features), encoding="utf-8")
    if given.docs:
        page = DOCS / "performance.md"
        text = f"{report.table(bench.figures)}\n\n![ours beside stock](performance.svg)"
        page.write_text(report.put_into(page.read_text(encoding="utf-8"), text), encoding="utf-8")
        report.plot(bench.figures, DOCS / "performance.svg")


if __name__ == "__main__":
    main()
