"""The engine: reasons to build, write-ahead records, what happens after a failure."""

from __future__ import annotations

import dataclasses
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import BUILD, REUSE, Engine
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.records import Record
from pytest_kollalab.engine.stage import Stage, Work
from pytest_kollalab.system import files, identity, locks, ssh
from pytest_kollalab.system.errors import BusyError, HostError, KollalabError, StageError
from pytest_kollalab.system.paths import Paths


class Plain(Stage[Made]):
    """A stage that keeps its doings in a list."""

    makes = Made

    def __init__(self, name: str, *needs: str, shared: bool = False, **inputs: Any) -> None:
        self.name = name
        self.needs = needs
        self.shared = shared
        self.given = inputs
        self.lost: str | None = None
        self.done: list[str] = []
        self.on_create: Callable[[Work], None] = lambda work: None

    def inputs(self) -> Any:
        return self.given

    def gone(self, made: Made) -> str | None:
        return self.lost

    def create(self, work: Work) -> Made:
        self.done.append("create")
        self.on_create(work)
        on = {name: made.extra["by"] for name, made in zip(self.needs, work.needs, strict=True)}
        return Made(extra={"by": work.tag.run, "on": on})

    def destroy(self, work: Work) -> None:
        self.done.append("destroy")


class Bench:
    """Four stages as a lab has them, and engines over them: one for each run of the program."""

    def __init__(self, root: Path) -> None:
        self.paths = Paths(cache=root / "cache", state=root / "state")
        self.tools = Plain("tools", shared=True, version="1")
        self.images = Plain("images", "tools", shared=True, base="a")
        self.images.resumable = True
        self.nodes = Plain("nodes", "images", suite="trixie")
        self.cloud = Plain("cloud", "tools", "nodes", globals={"debug": False})
        self.cloud.consumes = ("nodes",)
        self.said: list[str] = []

    def run(self, name: str = "r", **options: Any) -> Engine:
        stages = (self.tools, self.images, self.nodes, self.cloud)
        return Engine("lab", stages, self.paths, run_id=name, say=self.said.append, **options)

    def reasons(self, engine: Engine) -> dict[str, str]:
        return {step.stage: step.reason for step in engine.plan() if step.action == BUILD}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    # A worker of pytest-xdist is named in what is told of this process.
    monkeypatch.delenv(locks.WORKER, raising=False)
    return Bench(tmp_path)


def test_planning_writes_nothing(bench: Bench, tmp_path: Path) -> None:
    assert [step.action for step in bench.run().plan()] == [BUILD] * 4
    assert list(tmp_path.iterdir()) == []


def test_what_was_built_is_reused_by_the_next_run(bench: Bench) -> None:
    made = bench.run("r1").ensure("cloud")
    assert made.extra["on"] == {"tools": "r1", "nodes": "r1"}
    again = bench.run("r2")
    assert {step.action for step in again.plan()} == {REUSE}
    assert again.ensure("cloud") == made
    assert bench.cloud.done.count("create") == 1


def test_only_what_a_stage_needs_is_built(bench: Bench) -> None:
    bench.run().ensure("images")
    assert bench.nodes.done == []
    assert [step.stage for step in bench.run().plan("images")] == ["tools", "images"]


def test_a_changed_input_is_named(bench: Bench) -> None:
    bench.run().ensure("cloud")
    bench.cloud.given = {"globals": {"debug": True}}
    assert bench.reasons(bench.run())["cloud"] == "globals.debug changed from false to true"


def test_a_changed_input_of_a_shared_stage_is_named_and_builds_what_needs_it(bench: Bench) -> None:
    bench.run().ensure("cloud")
    bench.images.given = {"base": "b"}
    reasons = bench.reasons(bench.run())
    assert reasons["images"] == 'base changed from "a" to "b"'
    assert set(reasons) == {"images", "nodes", "cloud"}


def test_going_back_to_old_inputs_finds_the_old_shared_build(bench: Bench) -> None:
    bench.run().ensure("images")
    bench.images.given = {"base": "b"}
    bench.run().ensure("images")
    bench.images.given = {"base": "a"}
    assert bench.reasons(bench.run()).keys() == {"nodes", "cloud"}


def test_what_is_gone_from_the_host_is_built_again(bench: Bench) -> None:
    bench.run().ensure("cloud")
    bench.nodes.lost = "container controller-1 is gone"
    reasons = bench.reasons(bench.run())
    assert reasons == {
        "nodes": "container controller-1 is gone",
        "cloud": "nodes is rebuilt",
    }


def test_a_shared_stage_stays_ready_for_others_while_more_is_added_to_it(bench: Bench) -> None:
    made = bench.run("r1").ensure("images")
    bench.images.lost = "greeter is not in the registry"
    seen = []

    def look(work: Work) -> None:
        record = bench.run("r3").record("images")
        assert record is not None
        seen.append((record.status, record.made))
        raise StageError("no room")

    bench.images.on_create = look
    with pytest.raises(StageError, match="no room"):
        bench.run("r2").ensure("images")
    record = bench.run("r3").record("images")
    assert record is not None
    assert seen == [(records.READY, made.extra)]
    assert (record.status, record.made) == (records.READY, made.extra)
    assert bench.reasons(bench.run("r3"))["images"] == "greeter is not in the registry"


def test_a_stage_asked_for_fresh_is_built_once_in_a_run(bench: Bench) -> None:
    bench.run("r1").ensure("cloud")
    engine = bench.run("r2", fresh=("cloud",))
    assert bench.reasons(engine)["cloud"] == "asked for"
    engine.ensure("cloud")
    assert bench.reasons(engine) == {}


def test_a_cloud_that_is_built_anew_gets_fresh_nodes(bench: Bench) -> None:
    bench.run().ensure("cloud")
    bench.cloud.given = {"globals": {"debug": True}}
    assert "needs it fresh" in bench.reasons(bench.run())["nodes"]


def test_a_cloud_on_nodes_that_were_never_used_takes_them(bench: Bench) -> None:
    bench.run().ensure("nodes")
    assert bench.reasons(bench.run()).keys() == {"cloud"}


def test_the_record_is_there_before_anything_is_made(bench: Bench) -> None:
    seen: list[Record | None] = []
    engine = bench.run()
    bench.nodes.on_create = lambda work: seen.append(engine.record("nodes"))
    engine.ensure("nodes")
    assert seen[0] is not None
    assert seen[0].status == records.CREATING


def test_a_failure_undoes_its_steps_last_first_and_is_remembered(bench: Bench) -> None:
    undone: list[str] = []

    def fail(work: Work) -> None:
        work.undo.callback(undone.append, "first")
        work.undo.callback(undone.append, "second")
        raise StageError("no room")

    bench.nodes.on_create = fail
    engine = bench.run()
    with pytest.raises(StageError, match="no room"):
        engine.ensure("nodes")
    assert undone == ["second", "first"]
    record = engine.record("nodes")
    assert record is not None
    assert (record.status, record.error) == (records.FAILED, "no room")
    assert bench.reasons(bench.run())["nodes"] == "it failed: no room"


def test_a_success_undoes_nothing(bench: Bench) -> None:
    undone: list[str] = []

    def succeed(work: Work) -> None:
        work.undo.callback(undone.append, "x")

    bench.nodes.on_create = succeed
    bench.run().ensure("nodes")
    assert undone == []


def test_a_broken_lab_fails_fast(bench: Bench) -> None:
    def fail(work: Work) -> None:
        raise StageError("no room", details="much to read")

    bench.nodes.on_create = fail
    engine = bench.run()
    with pytest.raises(KollalabError):
        engine.ensure("cloud")
    with pytest.raises(KollalabError, match="no room") as caught:
        engine.ensure("cloud")
    assert "\n" not in str(caught.value)
    assert bench.nodes.done.count("create") == 1


def test_the_next_run_goes_on_from_the_last_good_stage(bench: Bench) -> None:
    def fail(work: Work) -> None:
        raise StageError("no room")

    bench.nodes.on_create = fail
    with pytest.raises(StageError):
        bench.run("r1").ensure("cloud")
    bench.nodes.on_create = lambda work: None
    bench.run("r2").ensure("cloud")
    assert bench.images.done.count("create") == 1
    # What the first try may have left is removed before the second.
    assert bench.nodes.done == ["destroy", "create", "destroy", "create"]


def test_ctrl_c_is_a_failure_too(bench: Bench) -> None:
    def interrupt(work: Work) -> None:
        raise KeyboardInterrupt

    bench.nodes.on_create = interrupt
    engine = bench.run()
    with pytest.raises(KeyboardInterrupt):
        engine.ensure("nodes")
    record = engine.record("nodes")
    assert record is not None
    assert (record.status, record.error) == (records.FAILED, "interrupted")
    assert bench.reasons(bench.run("r2"))["nodes"] == "the earlier build was interrupted"
    history = (bench.paths.state / "history.jsonl").read_text()
    assert '"outcome": "interrupted"' in history


def test_what_an_engine_has_ensured_is_not_looked_at_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.run("r1").ensure("cloud")
    looked: list[str] = []
    for stage in (bench.tools, bench.images, bench.nodes, bench.cloud):
        monkeypatch.setattr(stage, "gone", lambda made, name=stage.name: looked.append(name))
    engine = bench.run("r2")
    for name in ("tools", "images", "nodes", "cloud"):
        engine.ensure(name)
    assert looked == ["tools", "images", "nodes", "cloud"]
    # A plan is for people and looks at everything, as does an engine that has forgotten.
    assert [step.action for step in engine.plan()] == [REUSE] * 4
    assert looked[4:] == ["tools", "images", "nodes", "cloud"]
    engine.forget()
    engine.ensure("nodes")
    assert looked[8:] == ["tools", "images", "nodes"]


@pytest.mark.parametrize("stage", ["images", "nodes"])
def test_the_plan_says_that_another_process_builds(bench: Bench, stage: str) -> None:
    seen: list[str] = []

    def look(work: Work) -> None:
        seen.append(bench.reasons(bench.run("other"))[stage])

    getattr(bench, stage).on_create = look
    engine = bench.run()
    engine.ensure("nodes")
    (told,) = seen
    assert told.startswith(f"under way: process {os.getpid()} (build {stage}")
    assert ", since " in told


def test_the_plan_says_that_another_process_adds_to_what_is_shared(bench: Bench) -> None:
    bench.run("r1").ensure("images")
    bench.images.lost = "ovs not in the registry"
    seen: list[str] = []

    def look(work: Work) -> None:
        seen.append(bench.reasons(bench.run("other"))["images"])

    bench.images.on_create = look
    bench.run("r2").ensure("images")
    (told,) = seen
    assert told.startswith("ovs not in the registry; under way: process")


def test_the_plan_says_that_another_process_removes(bench: Bench) -> None:
    bench.run().ensure("nodes")
    seen: list[str] = []
    bench.nodes.destroy = lambda work: seen.append(  # type: ignore[method-assign]
        bench.reasons(bench.run("other"))["nodes"]
    )
    bench.run().destroy()
    assert seen[0].startswith("under way: process")
    assert "remove the lab" in seen[0]


def test_a_stage_that_a_dead_process_left_is_not_under_way(bench: Bench) -> None:
    record = Record("nodes", bench.run().plan()[2].key, "r", records.CREATING, inputs={})
    bench.run().ensure("images")
    needs = {"images": bench.run().key("images")}
    records.save(
        bench.paths.lab("lab") / "nodes.json",
        dataclasses.replace(record, inputs=bench.nodes.inputs(), needs=needs),
    )
    with locks.exclusive(bench.run().lock_path, "save first"):
        assert bench.reasons(bench.run())["nodes"] == "an earlier run was stopped"


def test_a_resumable_stage_goes_on_where_it_stopped(bench: Bench) -> None:
    resumed: list[bool] = []

    def stop(work: Work) -> None:
        resumed.append(work.resumes)
        if not work.resumes:
            raise StageError("image 7 of 25 failed")

    bench.images.on_create = stop
    with pytest.raises(StageError):
        bench.run("r1").ensure("images")
    bench.run("r2").ensure("images")
    assert resumed == [False, True]
    assert "destroy" not in bench.images.done


def test_destroy_removes_the_lab_last_stage_first_and_keeps_the_cache(bench: Bench) -> None:
    engine = bench.run()
    engine.ensure("cloud")
    order: list[str] = []
    bench.nodes.destroy = lambda work: order.append("nodes")  # type: ignore[method-assign]
    bench.cloud.destroy = lambda work: order.append("cloud")  # type: ignore[method-assign]
    engine.destroy()
    assert order == ["cloud", "nodes"]
    assert bench.images.done == ["create"]
    assert bench.reasons(bench.run()).keys() == {"nodes", "cloud"}


def test_destroying_what_was_never_there_is_fine(bench: Bench) -> None:
    bench.run().destroy()
    assert bench.nodes.done == ["destroy"]


def test_builds_are_told_with_their_reason_and_written_into_the_history(bench: Bench) -> None:
    bench.run().ensure("tools")
    assert bench.said[0] == "tools: build (not built yet)"
    history = (bench.paths.state / "history.jsonl").read_text()
    assert '"outcome": "built"' in history


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o777])
def test_the_folder_of_a_lab_is_private_at_every_level(bench: Bench, umask: int) -> None:
    def work(work: Work) -> None:
        files.write(work.folder / "etc" / "config" / "nova.conf", "")
        ssh.make_key(work.folder / "host_keys" / "node", "")

    bench.nodes.on_create = work
    before = os.umask(umask)
    try:
        engine = bench.run()
        engine.session.open()
        engine.ensure("nodes")
        identity.make_state(bench.paths.state)
        lease = locks.Lease(bench.paths.state / "labs" / "lab.lease")
        lease.take()
        lease.release()
    finally:
        os.umask(before)
    there = [bench.paths.state, *bench.paths.state.rglob("*")]
    wide = [path for path in there if path.stat().st_mode & 0o077]
    assert [p for p in wide if p.is_dir()] == []
    folders = [path for path in there if path.is_dir()]
    assert len(folders) >= 8
    assert all(path.stat().st_mode & 0o777 == 0o700 for path in folders)
    assert not (bench.paths.state / "history.jsonl").stat().st_mode & 0o077


def test_the_folder_of_an_older_version_becomes_private(bench: Bench) -> None:
    folder = bench.paths.lab("lab")
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    bench.run().ensure("nodes")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_what_another_run_uses_is_not_built_anew(bench: Bench) -> None:
    bench.run("r1").ensure("cloud")
    bench.cloud.given = {"globals": {"debug": True}}
    with pytest.raises(BusyError, match="another run uses lab lab") as caught:
        bench.run("r2", others=lambda: True).ensure("cloud")
    assert "needs it fresh" in caught.value.details
    assert bench.nodes.done.count("destroy") == 1
    bench.run("r3").ensure("cloud")


def test_what_is_not_there_is_built_beside_another_run(bench: Bench) -> None:
    bench.run("r1").ensure("nodes")
    bench.run("r2", others=lambda: True).ensure("cloud")


def test_a_failure_of_one_process_is_that_of_all(bench: Bench) -> None:
    def fail(work: Work) -> None:
        raise StageError("no room")

    bench.nodes.on_create = fail
    one, two = bench.run("r"), bench.run("r")
    one.session.open()
    with pytest.raises(StageError):
        one.ensure("nodes")
    with pytest.raises(StageError, match="the lab is broken: no room"):
        two.ensure("nodes")
    assert bench.nodes.done.count("create") == 1


def full(path: Path, record: Record) -> None:
    """Stands for records.save() on a full disk."""
    raise OSError(errno.ENOSPC, "No space left on device", str(path))


def test_a_stage_that_cannot_be_recorded_is_undone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    undone: list[str] = []
    save = records.save

    def makes(work: Work) -> None:
        work.undo.callback(undone.append, "nodes")

    bench.nodes.on_create = makes

    def fills(path: Path, record: Record) -> None:
        (full if record.stage == "nodes" and record.status != records.CREATING else save)(
            path, record
        )

    monkeypatch.setattr(records, "save", fills)
    with pytest.raises(HostError, match="cannot be written"):
        bench.run().ensure("nodes")
    assert undone == ["nodes"]
    record = bench.run().record("nodes")
    assert record is not None
    assert record.status == records.CREATING


def test_a_removal_writes_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.run().ensure("cloud")
    monkeypatch.setattr(records, "save", full)
    bench.run().destroy()
    assert bench.nodes.done[-1] == bench.cloud.done[-1] == "destroy"
    assert bench.run().record("nodes") is None


def test_a_stage_that_stays_does_not_keep_the_others(bench: Bench) -> None:
    bench.run().ensure("cloud")

    def refuse(work: Work) -> None:
        raise StageError("the cloud is in use")

    bench.cloud.destroy = refuse  # type: ignore[method-assign]
    with pytest.raises(StageError, match="the cloud is in use"):
        bench.run().destroy()
    assert bench.nodes.done[-1] == "destroy"
    assert bench.run().record("nodes") is None
    record = bench.run().record("cloud")
    assert record is not None
    assert record.status == records.DESTROYING


def test_a_stage_is_changed_in_place_and_is_another_build_then(bench: Bench) -> None:
    bench.run("r1").ensure("cloud")
    bench.images.given = {"base": "b"}
    bench.run("r2").ensure("images")
    engine = bench.run("r3")
    before = engine.record("nodes")
    engine.carry_over("nodes")
    after = engine.record("nodes")
    assert before is not None
    assert after is not None
    assert (after.run, after.made) == (before.run, before.made)
    made = engine.rework("cloud", lambda work: Made(extra={"by": work.tag.run}), "upgrade")
    assert made.extra == {"by": "r3"}
    # Before a first build, what may be left of another is removed.
    assert bench.cloud.done == bench.nodes.done == ["destroy", "create"]
    assert {step.action for step in bench.run("r4").plan()} == {REUSE}


def test_a_change_in_place_that_fails_is_recorded(bench: Bench) -> None:
    bench.run("r1").ensure("cloud")

    def fails(work: Work) -> Made:
        raise StageError("no room")

    engine = bench.run("r2")
    with pytest.raises(StageError, match="no room"):
        engine.rework("cloud", fails, "upgrade")
    record = engine.record("cloud")
    assert record is not None
    assert (record.status, record.error, record.run) == (records.FAILED, "no room", "r2")
    assert bench.cloud.done == ["destroy", "create"]


def test_the_key_for_others_is_the_one_that_a_new_lab_has(bench: Bench, tmp_path: Path) -> None:
    """Nodes that had more than was asked for are built anew, and keep their former key."""
    bench.nodes.serves = lambda recorded, wanted: True  # type: ignore[method-assign]
    bench.nodes.given = {"suite": "trixie", "extra": ["gateway-1"]}
    bench.run("r").ensure("cloud")
    for each in (bench, other := Bench(tmp_path / "other")):
        each.nodes.given = {"suite": "trixie"}
        each.cloud.given = {"globals": {"debug": True}}
    engine = bench.run("s")
    engine.ensure("cloud")
    new = {step.stage: step.key for step in other.run().plan()}
    record = engine.record("cloud")
    assert record is not None
    assert record.key != new["cloud"]
    assert engine.new_key("cloud") == new["cloud"]
    other.run("t").ensure("cloud")
    assert other.run().new_key("cloud") == new["cloud"]
