"""The benchmark's report: table, JSON, and the page that it is written into."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.__main__ import measure
from benchmarks.parts import Bench
from benchmarks.stock import changed
from pytest_kollalab.sdn.topology import palette
from tests.svg import SVG

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


FIGURES = {
    "image_build_seconds": 97.3,
    "stock_image_build_seconds": 105.8,
    "deploy_seconds": 121.1,
    "stock_all_seconds": 290.4,
    "restore_seconds": 38.1,
    "destroy_seconds": 2,
    "stock_destroy_seconds": 92.5,
}


def bars(picture: str, colour: str) -> list[float]:
    """The widths of the bars of a colour; they begin at one line, which the legend does not."""
    found = []
    for element in ET.fromstring(picture).iter(f"{SVG}path"):
        if element.get("fill") == colour:
            xs = [float(x) for x, _ in re.findall(r"([\d.]+) ([\d.]+)", element.get("d", ""))]
            found.append((min(xs), max(xs) - min(xs)))
    first = min(left for left, _ in found)
    return [width for left, width in found if left - first < 1]


def test_bars_are_as_long_as_what_was_measured_and_have_one_meaning(tmp_path: Path) -> None:
    report.plot(FIGURES, tmp_path / "plot.svg")
    picture = (tmp_path / "plot.svg").read_text()
    ours, stock = bars(picture, report.OURS), bars(picture, report.STOCK)
    assert [width / ours[0] for width in ours] == pytest.approx(
        [value / 97.3 for value in (97.3, 121.1, 38.1, 2)], rel=0.01
    )
    assert [width / ours[0] for width in stock] == pytest.approx(
        [value / 97.3 for value in (105.8, 290.4, 92.5)], rel=0.01
    )


def test_a_bar_has_its_figure_and_colours_have_their_names(tmp_path: Path) -> None:
    report.plot(FIGURES, tmp_path / "plot.svg")
    said = (tmp_path / "plot.svg").read_text()
    for text in ("97 s", "290 s", "38 s; stock Kolla has no such thing", "2 s"):
        assert f">{text}</text>" in said
    for text in ("pytest-kollalab", "stock Kolla", "seconds", "cloud deployed"):
        assert f">{text}</text>" in said
    assert ">second lab beside it</text>" not in said


def test_what_was_not_measured_of_stock_is_not_said_to_be_missing_there(tmp_path: Path) -> None:
    report.plot({"deploy_seconds": 121.1}, tmp_path / "plot.svg")
    said = (tmp_path / "plot.svg").read_text()
    assert ">121 s</text>" in said


def test_a_plot_knows_what_each_of_its_colours_is_in_the_dark(tmp_path: Path) -> None:
    report.plot(FIGURES, tmp_path / "plot.svg")
    body = (tmp_path / "plot.svg").read_text().partition("</style>")[2]
    used = set(re.findall(r'(?:fill|stroke)="(#[^"]*)"', body))
    assert used <= {*palette.DARK, *palette.NETWORKS}
    assert {report.OURS, report.STOCK, palette.INK, palette.PAPER} <= used
    assert not re.findall(r"(?:fill|stroke): #", body)


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
