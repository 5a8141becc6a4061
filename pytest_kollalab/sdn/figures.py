"""Figures: what tests measured, collected over a session, as a table and for the summary."""

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
    """Note a measurement of the test that runs now."""
    _measured.append((name, round(seconds, 3)))


def taken() -> list[tuple[str, tuple[str, float]]]:
    """What was noted since the last call, as properties of a test's report."""
    found = [(PROPERTY, each) for each in _measured]
    _measured.clear()
    return found


def rows(measured: Iterable[tuple[str, float]]) -> tuple[FigureRow, ...]:
    """Summed up by name, in the order in which the names came first."""
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
    """The table for people; empty when nothing was measured."""
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
    """A plugin for pytest that collects the figures of all processes and shows them at the end."""

    def __init__(self) -> None:
        self._measured: list[tuple[str, float]] = []

    @property
    def rows(self) -> tuple[FigureRow, ...]:
        """What was measured so far."""
        return rows(self._measured)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take the figures out of a test's last report: it has those of all phases."""
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
