"""Figures: summed up by name, shown as a table, carried by reports."""

from __future__ import annotations

from types import SimpleNamespace

from pytest_kollalab.sdn import figures
from pytest_kollalab.sdn.figures import FigureRow, Figures, lines, rows


def test_least_median_and_most_by_name() -> None:
    measured = [("a", 1.0), ("b", 9.0), ("a", 3.0), ("a", 2.5)]
    assert rows(measured) == (FigureRow("a", 3, 1.0, 2.5, 3.0), FigureRow("b", 1, 9.0, 9.0, 9.0))


def test_the_table() -> None:
    assert lines(rows([("delete", 0.5)])) == [
        "seconds  count   least  median    most",
        "delete       1    0.50    0.50    0.50",
    ]
    assert lines([]) == []


def test_a_figure_goes_with_the_report_of_its_test_and_counts_once() -> None:
    figures.record("a", 1.23456)
    properties = [*figures.taken(), ("other", 1)]
    assert figures.taken() == []
    collected = Figures()
    for when in ("setup", "call", "teardown"):
        report = SimpleNamespace(when=when, user_properties=properties)
        collected.pytest_runtest_logreport(report)
    assert collected.rows == (FigureRow("a", 1, 1.235, 1.235, 1.235),)
