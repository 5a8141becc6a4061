"""Progress: what history says, the live line, the summary."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import progress
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.progress import Expected, Likeness, Watcher
from pytest_kollalab.engine.records import FAILED, READY, Record
from pytest_kollalab.engine.stage import Stage, Work
from pytest_kollalab.providers.base import CloneMade
from pytest_kollalab.providers.choice import choose
from pytest_kollalab.report import live
from pytest_kollalab.report.live import Running, describe
from pytest_kollalab.report.summary import Summary, down_command, rows
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud.stage import CloudStage
from pytest_kollalab.system.paths import Paths
from tests import made


def row(stage: str, seconds: float, outcome: str = "built", **more: Any) -> dict[str, Any]:
    return {
        "stage": stage,
        "seconds": seconds,
        "outcome": outcome,
        "reason": "why",
        "key": "k",
    } | more


def test_history_tells_how_long_a_whole_build_takes() -> None:
    history = [row("cloud", 1000)] + [row("cloud", s, steps=s * 2) for s in (10, 20, 30, 40, 90)]
    history += [row("cloud", 1, "failed"), row("cloud", 2, resumed=True), row("nodes", 5)]
    assert progress.expect(history, "cloud", "k") == Expected(30, 60)
    assert progress.expect(history, "nodes", "k") == Expected(5, None)
    assert progress.expect(history, "images", "k") == Expected(None, None)


def test_builds_of_the_same_tell_most_and_clones_nothing_of_others() -> None:
    clones = [row("cloud", 24, adopts=True, steps=0)] * 5
    history = [row("cloud", 140, steps=426), *clones, {**row("cloud", 400, steps=700), "key": "a"}]
    assert progress.expect(history, "cloud", "a") == Expected(400, 700)
    assert progress.expect(history, "cloud", "k") == Expected(140, 426)
    assert progress.expect(history, "cloud", "k", adopts=True) == Expected(24, None)
    # Nobody knows what they had: an older version did not write it.
    assert progress.expect(history, "cloud", "new") == Expected(None, None)


def built(seconds: float, *features: str, manner: str = "docker") -> dict[str, Any]:
    return row("cloud", seconds, steps=int(seconds), features=list(features), manner=manner)


def test_an_estimate_is_of_builds_with_the_same_features_or_says_of_which() -> None:
    history = [
        *[built(120, "core", "sfc")] * 5,
        built(300, "compute", "core"),
        built(310, "compute", "core"),
        built(400, "bgpvpn", "compute", "core", "sfc"),
        built(1650, "core", "sfc", manner="libvirt"),
    ]

    def expect(*features: str, manner: str = "docker") -> Expected:
        return progress.expect(history, "cloud", "new", like=Likeness(features, manner))

    assert expect("core", "sfc") == Expected(120, 120)
    assert expect("compute", "core") == Expected(305, 305)
    assert expect("core", "sfc", manner="libvirt") == Expected(1650, 1650)
    # Of those that are as near, the last: a host may have changed.
    nearest = ("bgpvpn", "compute", "core", "sfc")
    assert expect("compute", "core", "sfc") == Expected(400, 400, nearest)
    assert expect("core", "sfc", "skydive") == Expected(120, 120, ("core", "sfc"))
    assert expect("core", manner="racks") == Expected(None, None)


def test_a_rough_estimate_says_so() -> None:
    same, rough = Expected(417.0), Expected(417.0, of=("compute", "core"))
    assert same.told() == "usually 6:57"
    assert rough.told() == "about 6:57, as with compute core"
    assert [same.remaining(368.0), rough.remaining(368.0)] == ["0:49 left", "about 0:49 left"]
    assert same.remaining(547.0) == "longer than usual by 2:10"
    assert rough.remaining(547.0) == "longer than expected by 2:10"
    assert Expected().told() == Expected().remaining(9.0) == ""


def test_a_cloud_that_came_with_cloned_nodes_is_adopted(paths: Paths) -> None:
    options = Options()
    stage = CloudStage(Config(), options, paths, features=(), provider=choose(options, paths))
    nodes = made.nodes()
    clone = CloneMade("first", paths.state, "t", {})
    assert not stage.adopts([made.images(), nodes])
    assert stage.adopts([made.images(), replace(nodes, clone=clone)])


def test_a_line_that_was_cut_off_is_skipped(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    assert progress.read(path) == []
    path.write_text(json.dumps(row("cloud", 1)) + '\n{"stage": "clo')
    assert len(progress.read(path)) == 1


def test_the_live_line() -> None:
    running = Running(Expected(120.0, 40), began=100.0, steps=12, what="neutron: Copying files")
    line = "cloud: neutron: Copying files, step 12 of about 40, 1:05, 0:55 left"
    assert describe("cloud", running, 165.0) == line
    # Past what history knows it promises nothing, and says so.
    running.steps = 41
    late = "cloud: neutron: Copying files, step 41, 3:20, longer than usual by 1:20"
    assert describe("cloud", running, 300.0) == late
    assert describe("nodes", Running(Expected(), began=0.0), 3.0) == "nodes, 0:03"


def test_a_terminal_shows_live_lines_and_lines_above_them() -> None:
    file = io.StringIO()
    terminal = live.Terminal(file)
    assert not terminal.line("nobody runs")
    terminal.begin("cloud", Expected())
    terminal.step("cloud", "a task")
    assert terminal._live is not None
    terminal._live.refresh()
    assert terminal.line("cloud: [bold]said[/bold]")
    terminal.end("cloud")
    assert not terminal.line("over")
    assert "cloud: [bold]said[/bold]" in file.getvalue()
    assert "cloud: a task, step 1" in file.getvalue()
    assert "nobody" not in file.getvalue()


def test_without_a_terminal_steps_are_lines_only_if_asked_for() -> None:
    file = io.StringIO()
    assert type(live.watcher(file, -1)) is Watcher
    quiet = live.watcher(file, 0)
    quiet.begin("cloud", Expected(steps=7))
    quiet.step("cloud", "a task")
    quiet.end("cloud")
    assert file.getvalue() == ""
    verbose = live.watcher(file, 1)
    verbose.begin("cloud", Expected(steps=7))
    verbose.step("cloud", "a task")
    verbose.end("cloud")
    assert re.fullmatch(r"cloud: a task, step 1 of about 7, 0:\d\d\n", file.getvalue())


def test_a_stage_that_is_silent_for_long_says_what_it_does_and_for_how_long() -> None:
    shown: list[str] = []
    heard = threading.Event()

    def show(text: str) -> None:
        shown.append(text)
        heard.set()

    plain = live.Plain(show, silence=0.05)
    plain.begin("images", Expected(seconds=300.0, steps=9))
    plain.step("images", "skydive-base")
    assert heard.wait(10)
    plain.end("images")
    assert re.fullmatch(r"images: skydive-base, step 1 of about 9, 0:0\d, \d:\d\d left", shown[0])
    count = len(shown)
    time.sleep(0.2)
    assert len(shown) == count


def test_whoever_speaks_is_not_silent() -> None:
    shown: list[str] = []
    plain = live.Plain(shown.append, silence=2.0)
    plain.begin("images", Expected())
    for _ in range(30):
        assert not plain.line("images: something")
        time.sleep(0.1)
    plain.end("images")
    assert shown == []


def test_how_long_it_still_takes_is_said_between_other_lines() -> None:
    shown: list[str] = []
    plain = live.Plain(shown.append, silence=0.1)
    plain.begin("images", Expected(seconds=600.0))
    deadline = time.monotonic() + 10
    while not shown and time.monotonic() < deadline:
        plain.line("images: something")
        time.sleep(0.01)
    plain.end("images")
    assert shown[0].startswith("images, 0:0")
    assert shown[0].endswith(" left")


def test_that_a_build_is_late_is_said_once_without_waiting_for_a_silence() -> None:
    running = Running(Expected(100.0), began=1000.0)
    assert [running.turns_late(1000.0 + s) for s in (99, 110, 116, 117, 500)] == [
        False, False, True, False, False,
    ]  # fmt: skip
    assert not Running(Expected(), began=0.0).turns_late(1e6)


class Stepping(Stage[Made]):
    makes = Made
    name = "tools"

    def inputs(self) -> Any:
        return {}

    def create(self, work: Work) -> Made:
        work.step("one")
        work.step("two")
        return Made()

    def destroy(self, work: Work) -> None:
        pass


class Watching(Watcher):
    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []

    def begin(self, stage: str, expected: Expected) -> None:
        self.seen.append(("begin", stage, str(expected.steps)))

    def step(self, stage: str, what: str) -> None:
        self.seen.append((stage, what))

    def end(self, stage: str) -> None:
        self.seen.append(("end", stage))


def test_the_engine_tells_its_watcher_and_remembers_for_the_next_run(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    for steps in ("None", "2"):
        watching = Watching()
        engine = Engine("lab", [Stepping()], paths, watcher=watching, say=lambda _: None)
        engine.ensure("tools")
        assert watching.seen[0] == ("begin", "tools", steps)
        assert watching.seen[1:] == [("tools", "one"), ("tools", "two"), ("end", "tools")]
        engine.destroy()
    (first, _) = progress.read(paths.state / progress.HISTORY)
    assert (first["steps"], first["resumed"]) == (2, False)


def test_what_was_built_is_remembered_with_its_features_and_manner(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    said: list[str] = []

    def engine(*features: str) -> Engine:
        return Engine("lab", [Stepping()], paths, say=said.append, features=features)

    engine("sfc", "core").ensure("tools")
    (row,) = progress.read(paths.state / progress.HISTORY)
    assert (row["features"], row["manner"]) == (["core", "sfc"], "")
    slow = {**row, "seconds": 417.0, "key": "another"}
    (paths.state / progress.HISTORY).write_text(json.dumps(slow) + "\n")
    said.clear()
    other = engine("core", "compute")
    other.destroy()
    other.ensure("tools")
    assert said[0] == "tools: build (not built yet), about 6:57, as with core sfc"


def test_each_provider_and_a_stock_deploy_is_a_manner_of_its_own(paths: Paths) -> None:
    options = Options()
    provider = choose(options, paths)

    def cloud(config: Config) -> CloudStage:
        return CloudStage(config, options, paths, features=(), provider=provider)

    assert cloud(Config()).manner() == "docker"
    assert cloud(Config(stock=True)).manner() == "docker stock"


def test_the_summary_tells_what_was_built_and_what_was_reused(tmp_path: Path) -> None:
    history = [
        row("nodes", 9, run="old"),
        row("nodes", 4.04, run="me"),
        {**row("nodes", 70, run="me"), "lab": "lab-2"},
        row("cloud", 2, "failed", run="me"),
    ]
    records = {
        "tools": Record("tools", "t", "old", READY, inputs={}, created="then"),
        "images": None,
        "nodes": Record("nodes", "n", "me", READY, inputs={}),
        "cloud": Record("cloud", "c", "me", FAILED, inputs={}),
    }
    found = rows("me", "lab", history, records)
    assert [(each.stage, each.action, each.seconds) for each in found] == [
        ("tools", "reuse", 0.0), ("nodes", "build", 4.0), ("cloud", "failed", 2.0),
    ]  # fmt: skip
    kept = Summary("mine", "me", found, kept=True, remove=down_command({"--name": "mine"}))
    text = "\n".join(kept.lines())
    assert "tools   reuse       0 s  unchanged since then" in text
    assert text.endswith("lab mine is kept; remove it with: kollalab down --name mine")
    gone = Summary("lab", "me", found, kept=False, remove="", removed_in=3.2)
    assert gone.lines()[-1] == "lab lab was removed in 3 s; caches stay"
    gone.write(tmp_path / "a", tmp_path / "b")
    told = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert told["stages"][1] == {
        "stage": "nodes", "action": "build", "reason": "why", "seconds": 4.0, "key": "k",
    }  # fmt: skip
    assert down_command({}) == "kollalab down"


def test_a_build_says_beforehand_how_long_it_takes(tmp_path: Path) -> None:
    paths, said = Paths(cache=tmp_path / "cache", state=tmp_path / "state"), list[str]()
    paths.state.mkdir()
    (paths.state / progress.HISTORY).write_text(json.dumps(row("tools", 754.0)) + "\n")
    Engine("lab", [Stepping()], paths, say=said.append).ensure("tools")
    # The key of the row is another one, and nobody knows of which features it was.
    assert said == ["tools: build (not built yet)", "tools: built in 0 s"]
    said.clear()
    known = row("tools", 754.0, features=[])
    (paths.state / progress.HISTORY).write_text(json.dumps(known) + "\n")
    engine = Engine("lab", [Stepping()], paths, say=said.append)
    engine.destroy()
    engine.ensure("tools")
    assert said == ["tools: build (not built yet), usually 12:34", "tools: built in 0 s"]
