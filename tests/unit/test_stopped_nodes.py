"""Nodes that do not run are started; only what cannot be used then is built anew."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import BUILD, REUSE, Engine, Step
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.stage import Inputs, Stage, Work
from pytest_kollalab.providers.base import NodesMade, Provider
from pytest_kollalab.stages.cloud import readiness
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.states.rollback import Rewind
from pytest_kollalab.stages.states.saves import Saves
from pytest_kollalab.system.errors import ConfigError, StageError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from tests import made


class Images(Stage[Any]):
    makes = ImagesMade
    name = "images"
    shared = True

    def inputs(self) -> Inputs:
        return {}

    def gone(self, made: Made) -> str | None:
        return None

    def create(self, work: Work) -> Made:
        return made.images()

    def destroy(self, work: Work) -> None:
        pass


class Nodes(Images):
    makes: type[Any] = NodesMade
    name = "nodes"
    shared = False

    def __init__(self, host: Host) -> None:
        self.host = host

    def gone(self, made: Made) -> str | None:
        return "compute-1 is not there" if self.host.pruned else None

    def halted(self, made: Made) -> Sequence[str]:
        return self.host.halted

    def create(self, work: Work) -> Made:
        self.host.calls.append("create")
        return made.nodes({})

    def destroy(self, work: Work) -> None:
        self.host.calls.append("destroy")


class Cloud(Images):
    makes: type[Any] = CloudMade
    name = "cloud"
    shared = False


class Host:
    """A host with nodes that stop and are started."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "cache", folder / "state")
        self.halted: list[str] = []
        self.pruned = self.sick = False
        self.calls: list[str] = []
        self.said: list[str] = []

    def start(self, tag: Any, made: Any, registry: Any, *, nodes: bool) -> None:
        self.calls.append("start all" if nodes else "start what nodes need")
        self.halted = []

    def restore(self, lab: str, name: str) -> None:
        self.calls.append("restore")

    def settle(self, *of: Any) -> None:
        self.calls.append("settle")
        if self.sick:
            raise StageError("controller-1 did not come up", details="no such planet")

    def rewind(self) -> Rewind:
        engine = Engine("lab", (Images(), Nodes(self), Cloud()), self.paths, say=self.said.append)
        saving = SimpleNamespace(
            restore=self.restore, saved=lambda _: ["mine.abc123"], memory=False, own_clock=False
        )
        provider = SimpleNamespace(name="memory", saving=saving, start=self.start)
        saves = Saves("lab", self.paths.lab("lab"), cast("Provider", provider))
        lease = Lease(self.paths.state / "labs" / "lab.lease")
        return Rewind(engine, saves, lease, resolve=lambda *_: ())

    def step(self) -> Step:
        return self.rewind().engine.plan("nodes")[-1]

    def save(self) -> None:
        record = records.load(self.paths.lab("lab") / "nodes.json")
        assert record is not None
        path = self.paths.lab("lab") / "saves" / "mine.abc123.json"
        path.parent.mkdir()
        state = {"name": "mine", "label": path.stem, "made": "2026-11-30", "nodes": record.run}
        path.write_text(json.dumps(state))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(readiness, "settle", host.settle)
    host.rewind().engine.ensure("nodes")
    host.calls.clear()
    host.said.clear()
    return host


def test_what_does_not_run_is_started_and_not_built_anew(host: Host) -> None:
    host.halted = ["controller-1", "registry"]
    assert host.step().action == REUSE
    assert host.step().reason.endswith("; starts controller-1, registry, which did not run")
    host.rewind().wake()
    assert host.said == ["nodes: starting controller-1, registry, which did not run"]
    assert host.calls == ["start all", "settle"]
    host.rewind().wake()
    assert host.calls == ["start all", "settle"], "only what does not run"


def test_what_is_not_there_is_not_started(host: Host) -> None:
    host.halted, host.pruned = ["controller-1"], True
    assert (host.step().action, host.step().reason) == (BUILD, "compute-1 is not there")
    host.rewind().wake()
    assert host.calls == []


def test_what_does_not_become_usable_is_built_anew(host: Host) -> None:
    host.halted, host.sick = ["controller-1"], True
    host.rewind().wake()
    assert host.said[-1] == (
        "nodes: not usable after their start: controller-1 did not come up: no such planet"
    )
    assert host.step().action == BUILD
    assert host.step().reason.startswith("it failed: controller-1 did not come up")


def test_it_is_not_built_anew_if_somebody_saved_a_state(host: Host) -> None:
    host.save()
    host.halted, host.sick = ["controller-1"], True
    with pytest.raises(StageError, match="were started and are not usable") as caught:
        host.rewind().wake()
    assert "controller-1 did not come up\nno such planet" in caught.value.details
    assert "kollalab rollback mine --name lab" in caught.value.hint
    # The advice helps: the state can still be brought back.
    host.sick = False
    host.rewind().rollback("mine")


def test_a_rollback_starts_what_nodes_need(host: Host) -> None:
    host.save()
    host.halted = ["controller-1", "registry"]
    host.rewind().rollback("mine")
    assert host.calls == ["start what nodes need", "restore", "settle"]


def test_a_feature_of_the_cloud_that_is_not_known_here_is_left_out_and_said(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[Any] = []
    monkeypatch.setattr(readiness, "settle", lambda *of: checked.extend(of[4](("core", "banner"))))

    def resolve(names: Iterable[str], release: str) -> Sequence[Any]:
        found = list(names)
        if "banner" in found:
            raise ConfigError("there is no feature 'banner'")
        return found

    rewind = host.rewind()
    rewind._resolve = resolve
    rewind.settle(None)
    assert checked == ["core"]
    assert host.said == ["cloud: not known here, and so not checked: banner"]
