"""The benchmark's report: table, JSON, and the page that it is written into."""

from __future__ import annotations

import json

import pytest

from benchmarks import report
from benchmarks.__main__ import measure
from benchmarks.parts import Bench
from benchmarks.stock import changed

WANTED = {
    "image_build_vs_stock", "transport_seconds", "deploy_seconds", "deploy_vs_stock",
    "restore_seconds", "rollback_vs_deploy", "destroy_seconds", "idle_overhead_seconds",
    "second_lab_seconds", "lab_memory_mb",
}  # fmt: skip


def test_every_figure_that_is_promised_has_a_meaning() -> None:
    assert set(report.MEANING) >= WANTED


def test_a_table_has_what_was_measured_and_no_more() -> None:
    lines = report.table({"destroy_seconds": 7.0, "stock_all_seconds": 600}).splitlines()
    assert lines[2:] == ["| `destroy_seconds` | `kollalab down` | 7 | 8 |"]


def test_json_tells_what_it_was_measured_on() -> None:
    told = json.loads(report.document({"destroy_seconds": 7.5}, ("sfc",)))
    assert told["destroy_seconds"] == 7.5
    assert told["features"] == ["sfc"]
    assert told["cores"] > 0


def test_the_page_keeps_what_is_around_the_table() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    assert report.put_into(page, "new") == page.replace("old", "new")
    with pytest.raises(ValueError, match="the page has no"):
        report.put_into("no marks", "new")


def test_what_a_deploy_changed_is_named_with_its_node() -> None:
    before = {"compute-1": "cron 1\novs 2\n", "controller-1": "cron 3\n"}
    assert changed(before, before) == []
    assert changed(before, {**before, "compute-1": "cron 1\novs 9\n"}) == ["compute-1: ovs 9"]


class Told(Bench):
    """Parts that only say that they were asked for."""

    def __init__(self) -> None:
        self.figures = {}
        self.parts: list[str] = []
        self.say = self.parts.append

    def stock(self) -> None:
        self.parts.append("stock")
        self.figures |= {
            "pull_seconds": 50,
            "stock_prechecks_seconds": 50,
            "stock_deploy_seconds": 500,
        }

    def ours(self, *, compared: bool) -> None:
        self.parts.append(f"ours, compared: {compared}")
        self.figures["deploy_seconds"] = 240

    def images(self) -> None:
        self.parts.append("images")


def test_a_quick_run_leaves_out_what_stock_takes_long_for() -> None:
    told = Told()
    measure(told, quick=True)
    assert told.parts == ["ours, compared: False"]
    assert "deploy_vs_stock" not in told.figures


def test_ours_is_compared_with_images_prechecks_and_deploy_of_stock() -> None:
    told = Told()
    measure(told, quick=False)
    assert told.figures["deploy_vs_stock"] == 0.4
    assert [part for part in told.parts if "deploy_vs" not in part] == [
        "stock", "ours, compared: True", "images",
    ]  # fmt: skip
