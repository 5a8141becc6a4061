"""Figures: measurements of tests, collected over a session for a table and the summary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

PROPERTY = "kollalab_figure"

_measured: list[tuple[str, float]] = []


@dataclass(frozen=True)
class FigureRow:
    """One figure over the session; all but `count` are in seconds."""

    name: str
    count: int
    least: float
    median: float
    most: float


def record(name: str, seconds: float) -> None:
    """Record a measurement of the running test."""
    _measured.append((name, round(seconds, 3)))


def taken() -> list[tuple[str, tuple[str, float]]]:
    """The measurements since the last call, as properties of a test's report."""
    found = [(PROPERTY, each) for each in _measured]
    _measured.clear()
    return found


def rows(measured: Iterable[tuple[str, float]]) -> tuple[FigureRow, ...]:
    """Sum up measurements by name, in the order in which the names first appeared."""
    by_name: dict[str, list[float]] = {}
    for name, seconds in measured:
        by_name.setdefault(name, []).append(seconds)
    if not by_name:
        return ()
    # Slow to import, and most sessions have no figures.
    from statistics import median

    return tuple(
        FigureRow(name, len(all_), min(all_), round(median(all_), 3), max(all_))
        for name, all_ in by_name.items()
    )


def lines(table: Iterable[FigureRow]) -> list[str]:
    """The lines of the printed table; empty if nothing was measured."""
    table = tuple(table)
    if not table:
        return []
    width = max(len("seconds"), *(len(row.name) for row in table))
    head = f"{'seconds':<{width}}  {'count':>5}  {'least':>6}  {'median':>6}  {'most':>6}"
    return [
        head,
        *(
            f"{row.name:<{width}}  {row.count:>5}  {row.least:>6.2f}  {row.median:>6.2f}  "
            f"{row.most:>6.2f}"
            for row in table
        ),
    ]


class Figures:
    """Collects the figures of all processes and shows them at the end; called by pytest's hooks."""

    def __init__(self) -> None:
        self._measured: list[tuple[str, float]] = []

    @property
    def rows(self) -> tuple[FigureRow, ...]:
        """The figures so far."""
        return rows(self._measured)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Collect the figures from a test's last report, which has those of all phases."""
        if report.when == "teardown":
            self._measured += [
                (str(value[0]), float(value[1]))
                for name, value in report.user_properties
                if name == PROPERTY
            ]

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Show the table."""
        table = lines(self.rows)
        if table:
            terminalreporter.section("figures")
            for line in table:
                terminalreporter.write_line(line)
