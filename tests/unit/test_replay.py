"""Playbooks that are replayed on a cloud as it is: what may change, and what the record says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import BUILD, REUSE, Engine, Step
from pytest_kollalab.engine.records import FAILED, READY, Record
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.features.base import Feature
from pytest_kollalab.lab import checks
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers import choice
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.cloud.making import Making
from pytest_kollalab.stages.cloud.wanted import WantedCloud
from pytest_kollalab.stages.states import clones
from pytest_kollalab.stages.states.saves import GOLDEN
from pytest_kollalab.system.errors import BusyError, ConfigError, KollalabError, StageError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from tests import made
from tests.unit.test_upgrade import Memory


class Author:
    """Somebody who writes the playbook of a feature and has a lab with it.

    Attributes:
        playbook: The playbook.
        played: The features whose playbooks were replayed, for each replay.
    """

    def __init__(self, paths: Paths, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = paths
        self.memory = Memory()
        self.said: list[str] = []
        self.played: list[Sequence[str]] = []
        self.fails = False
        self.playbook = folder / "playbooks" / "banner.yml"
        self.playbook.parent.mkdir()
        self.playbook.write_text("- hosts: all\n")
        self.globals: dict[str, Any] = {}
        monkeypatch.setattr(Engine, "ensure", lambda *_: None)
        monkeypatch.setattr(Making, "replay", self.replay)
        monkeypatch.setattr(choice, "check_host", lambda *_: None)
        monkeypatch.setattr(room, "check_stages", lambda *_: None)
        monkeypatch.setattr(checks, "check_sources", lambda *_: None)
        lab = self.lab()
        self.cloud = made.cloud("core", "banner", folder=lab.folder / "cloud")
        key = paths.state / "id_ed25519"
        nodes = made.nodes({}, ssh_key=key, ssh_config=paths.state / "ssh_config")
        steps = {step.stage: step.key for step in lab.engine.plan()}
        for stage, what in (("nodes", nodes), ("cloud", self.cloud)):
            inputs = lab.engine.stages[stage].inputs()
            needs = {"images": steps["images"], "tools": steps["tools"], "nodes": "earlier"}
            needs = {each: needs[each] for each in lab.engine.stages[stage].needs}
            record = Record(
                stage, steps[stage], "earlier", READY, inputs, needs, made=what.to_json()
            )
            (lab.folder / stage).mkdir(parents=True)
            records.save(lab.folder / f"{stage}.json", record)
        key.touch()
        self.cloud.etc.mkdir()
        self.cloud.clouds_yaml.touch()
        self.key = steps["cloud"]

    def lab(self, *features: str, run: str | None = None) -> Lab:
        banner = Feature("banner", playbooks=(self.playbook,), globals=self.globals)
        found = (banner, Feature("other"))
        given = Extension("one", providers={"memory": lambda *_: self.memory}, features=found)
        return Lab(
            Config(),
            Options(provider="memory"),
            features=features or ("banner",),
            paths=self.paths,
            extensions=Extensions((given,)),
            say=self.said.append,
            run_id=run,
        )

    def replay(self, work: Work, names: Sequence[str], replayed: tuple[str, ...]) -> CloudMade:
        self.played.append(names)
        if self.fails:
            raise StageError("banner-banner failed", details="compute-1: a typo", log=work.log)
        return dataclasses.replace(self.cloud, replayed=replayed)

    def step(self, lab: Lab | None = None) -> Step:
        return (lab or self.lab()).engine.plan("cloud")[-1]

    def record(self) -> Record:
        found = records.load(self.lab().folder / "cloud.json")
        assert found is not None
        return found


@pytest.fixture
def author(paths: Paths, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Author:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    return Author(paths, tmp_path, monkeypatch)


def test_a_changed_playbook_is_replayed_and_the_lab_then_serves(author: Author) -> None:
    assert author.step().action == REUSE
    author.playbook.write_text("- hosts: control\n")
    assert author.step().action == BUILD
    author.lab().replay(["banner"])
    assert author.played == [("banner",)]
    lab = author.lab()
    nodes, cloud = lab.engine.plan("cloud")[-2:]
    assert (nodes.action, cloud.action) == (REUSE, REUSE)
    assert cloud.reason.endswith("; not as a new one: the playbooks of banner were replayed")
    # A lab without the feature is served as well, as by any cloud that has more.
    assert author.step(author.lab("core")).action == REUSE


def test_the_key_is_that_of_no_build(author: Author) -> None:
    for text in ("- hosts: control\n", "- hosts: all\n"):
        author.playbook.write_text(text)
        author.lab().replay(["banner"])
        record = author.record()
        assert record.inputs["replayed"] == ["banner"]
        # Not even with the playbook that it was deployed with: somebody may have tried others.
        assert record.key not in (
            author.key,
            author.step().key if author.step().action == BUILD else "",
        )
        fresh = Engine("another", tuple(author.lab().engine.stages.values()), author.paths)
        assert record.key != fresh.plan("cloud")[-1].key


def test_what_changes_after_a_replay_builds_the_lab_anew(author: Author) -> None:
    author.lab().replay(["banner"])
    author.playbook.write_text("- hosts: compute\n")
    nodes, cloud = author.lab().engine.plan("cloud")[-2:]
    assert (nodes.action, cloud.action, cloud.resumes) == (BUILD, BUILD, False)
    assert "playbooks.banner/banner.yml changed" in cloud.reason


def test_more_than_the_playbooks_is_no_replay(author: Author) -> None:
    author.playbook.write_text("- hosts: control\n")
    author.globals["kollalab_banner"] = "hello"
    with pytest.raises(ConfigError, match="has changed than a replay of banner brings") as caught:
        author.lab().replay(["banner"])
    assert caught.value.details == "globals.kollalab_banner is new"
    assert author.played == []
    assert author.record().key == author.key


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("core", "the feature core has no playbooks"),
        ("other", "lab lab has no feature other"),
        ("sfc", "lab lab has no feature sfc"),
    ],
)
def test_only_what_the_cloud_has_is_replayed(author: Author, name: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        author.lab().replay([name])
    assert author.played == []


def test_a_refusal_is_known_before_and_says_what_now(author: Author) -> None:
    before = author.record()
    with pytest.raises(ConfigError, match="lab lab has no feature other") as caught:
        author.lab().check_replay(["other"])
    assert "without --kollalab-replay, which builds the lab anew with it" in caught.value.hint
    with pytest.raises(ConfigError) as caught:
        author.lab().check_replay(["baner"])
    assert caught.value.hint == "did you mean 'banner'?"
    with pytest.raises(ConfigError):
        author.lab().plan_lines(["other"])
    author.playbook.write_text("- hosts: control\n")
    *_, nodes, cloud = author.lab().plan_replay(["banner"])
    assert (nodes.action, cloud.action) == (REUSE, "replay")
    assert (author.played, author.record()) == ([], before)


def test_a_cloud_that_was_never_whole_is_not_replayed_on(author: Author) -> None:
    path = author.lab().folder / "cloud.json"
    records.save(path, author.record().with_status(FAILED, error="a typo"))
    with pytest.raises(StageError, match="the cloud of lab lab is not whole") as caught:
        author.lab().check_replay(["banner"])
    assert "without --kollalab-replay" in caught.value.hint


def test_a_replay_that_fails_is_repeated_and_never_continued_by_a_build(author: Author) -> None:
    author.fails = True
    with pytest.raises(
        StageError, match="the replay of banner on lab lab failed: banner-banner"
    ) as e:
        author.lab().replay(["banner"])
    assert e.value.details == "compute-1: a typo"
    assert "replay again; anything else builds the lab anew" in e.value.hint
    assert author.record().status == FAILED
    step = author.step()
    # A build that went on there would be recorded as one from the beginning.
    assert (step.action, step.resumes) == (BUILD, False)
    author.fails = False
    author.playbook.write_text("- hosts: control\n")
    author.lab().replay(["banner"])
    assert author.step().action == REUSE


def test_the_way_back_is_told_if_there_is_one(author: Author) -> None:
    author.lab().rewind.keep_golden()
    author.fails = True
    with pytest.raises(StageError) as caught:
        author.lab().replay(["banner"])
    assert "or go back with `kollalab rollback golden --name lab`" in caught.value.hint


def test_the_golden_state_is_that_of_the_replay_and_goes_nowhere(author: Author) -> None:
    author.lab().rewind.keep_golden()
    former = set(author.memory.states)
    author.lab().replay(["banner"])
    lab = author.lab()
    (golden,) = lab.rewind.saves.list()
    assert golden.name == GOLDEN
    assert golden.cloud == author.record().run
    assert not former & author.memory.states
    # Neither a clone, nor a later lab, nor another host starts from it.
    assert clones.source(lab.rewind) is None
    retained = lab.retained
    retained.wanted = True
    retained.provider = cast("Any", SimpleNamespace(saving=author.memory, cloning=object()))
    retained.keep()
    assert not retained.folder.exists()
    with pytest.raises(KollalabError, match="the golden state of lab lab is not pushed") as caught:
        lab._pushing()._golden()
    assert "the playbooks of banner were replayed" in caught.value.details


def test_a_rollback_brings_back_the_record_of_before(
    author: Author, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_kollalab.stages.cloud.readiness.settle", lambda *_: None)
    author.lab().save("before")
    author.lab().replay(["banner"])
    author.lab().rollback("before")
    assert author.record().key == author.key
    assert "replayed" not in author.record().inputs


def test_a_lab_that_others_use_is_left_alone(author: Author) -> None:
    other = Lease(author.lab().lease.path, "other")
    other.take()
    try:
        with pytest.raises(BusyError, match="in use by another run"):
            author.lab().replay(["banner"])
    finally:
        other.release()
    assert author.played == []


def test_several_processes_of_a_run_replay_once(author: Author) -> None:
    for _ in range(2):
        author.lab(run="session").replay(["banner"])
    assert author.played == [("banner",)]
    author.lab(run="another").replay(["banner"])
    assert len(author.played) == 2
    author.fails = True
    with pytest.raises(StageError, match="banner-banner failed"):
        author.lab(run="third").replay(["banner"])
    with pytest.raises(StageError, match="failed in another process of this session"):
        author.lab(run="third").replay(["banner"])
    assert len(author.played) == 3


@pytest.mark.parametrize(
    ("status", "replayed", "run", "may"),
    [
        (READY, False, "earlier", True),
        # This session is making it, or made it, with the playbooks as they are.
        (READY, False, "mine", False),
        (records.CREATING, False, "mine", False),
        # There is nothing to replay on.
        (FAILED, False, "earlier", False),
        (FAILED, True, "earlier", True),
        # Another process of this session is at it.
        (records.CREATING, True, "mine", True),
    ],
)
def test_a_session_replays_on_what_an_earlier_one_left(
    author: Author, status: str, replayed: bool, run: str, may: bool
) -> None:
    record = author.record()
    inputs = {**record.inputs, **({"replayed": ["banner"]} if replayed else {})}
    changed = dataclasses.replace(record, status=status, run=run, inputs=inputs)
    records.save(author.lab().folder / "cloud.json", changed)
    assert author.lab(run="mine").may_replay() is may


def test_nodes_that_are_gone_are_told(author: Author, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "gone", lambda *_: "compute-1 is gone")
    with pytest.raises(StageError, match="nodes of lab lab cannot be used: compute-1 is gone"):
        author.lab().replay(["banner"])


def test_no_cloud_no_replay(paths: Paths) -> None:
    with pytest.raises(StageError, match="lab lab has no cloud"):
        Lab(Config(), Options(), paths=paths).replay(["skydive"])


def test_only_the_named_features_are_played(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    played: list[str] = []
    features = [
        Feature(name, playbooks=(tmp_path / name / "x.yml",)) for name in ("banner", "other")
    ]

    class Timed:
        def __init__(self, *of: Any) -> None:
            played.append(of[-1])

        def __enter__(self) -> Any:
            return lambda *_: None

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(Making, "_timed", Timed)
    monkeypatch.setattr("pytest_kollalab.stages.cloud.making._laid", lambda *_: None)
    making = Making(cast("WantedCloud", SimpleNamespace(features=features)))
    nothing = cast("Any", None)
    making._play_own(nothing, nothing, ("banner",))
    assert played == ["playbooks-banner"]
    making._play_own(nothing, nothing)
    assert played[1:] == ["playbooks-banner", "playbooks-other"]


def test_the_verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path))
    asked: list[Any] = []
    monkeypatch.setattr(Lab, "replay", lambda lab, names: asked.append((lab.name, names)))
    result = CliRunner().invoke(main, ["replay", "--name", "mine", "skydive", "bgpvpn"])
    assert (result.exit_code, asked) == (0, [("mine", ("skydive", "bgpvpn"))])
    assert CliRunner().invoke(main, ["replay"]).exit_code == 2
