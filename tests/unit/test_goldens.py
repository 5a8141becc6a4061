"""What is kept of a lab: when it serves the next one, and what becomes of a bad one."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import BUILD, REUSE, Engine
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.stage import Inputs, Stage, Work
from pytest_kollalab.providers import retained
from pytest_kollalab.providers.base import (
    Cloning,
    NodesMade,
    Origin,
    ProvidedNodes,
    Provider,
    Saving,
    Spec,
)
from pytest_kollalab.settings.config import NodesConfig
from pytest_kollalab.stages.cloud import readiness
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.states.goldens import ROLLBACK, RetainedGolden
from pytest_kollalab.stages.states.rollback import Rewind
from pytest_kollalab.stages.states.saves import Saves
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from tests import made


class Images(Stage[Any]):
    makes: type[Any] = ImagesMade
    name = "images"
    shared = True

    def inputs(self) -> Inputs:
        return {"tag": 1}

    def gone(self, made: Made) -> str | None:
        return None

    def create(self, work: Work) -> Made:
        return made.images(registry_image="registry", registry_root=work.folder)

    def destroy(self, work: Work) -> None:
        pass


class Nodes(Images):
    makes = NodesMade
    name = "nodes"
    needs = ("images",)
    shared = False

    def __init__(self, provider: Memory) -> None:
        self.provider = provider

    def gone(self, made: Made) -> str | None:
        return None if self.provider.runs else "controller-1 does not run"

    def create(self, work: Work) -> Made:
        (work.folder / "key").write_text(work.tag.run)
        self.provider.runs = True
        return made.nodes({})

    def destroy(self, work: Work) -> None:
        self.provider.destroy("lab")


class Cloud(Images):
    makes = CloudMade
    name = "cloud"
    needs = ("images", "nodes")
    consumes = ("nodes",)
    shared = False

    def __init__(self, features: list[str]) -> None:
        self.features = features

    def inputs(self) -> Inputs:
        return {"features": self.features}

    def serves(self, recorded: Inputs, wanted: Inputs) -> bool:
        return set(wanted["features"]) <= set(recorded["features"])

    def create(self, work: Work) -> Made:
        (work.folder / "password").write_text(work.tag.run)
        return made.cloud(*self.features)


class Memory(Provider, Saving, Cloning):
    """Nodes that run or not, and states that are there until they are cleared."""

    name = "memory"

    def __init__(self, home: Path) -> None:
        self.home = home
        self.saving = self.cloning = self
        self.runs = False
        self.states: set[str] = set()
        self.connected = False
        self.taken = False

    def save(self, lab: str, name: str) -> int:
        self.states.add(name)
        return 0

    def restore(self, lab: str, name: str) -> None:
        assert self.connected
        self.runs = True

    def saved(self, lab: str) -> list[str]:
        return sorted(self.states)

    def clear(self, lab: str, name: str) -> None:
        self.states.discard(name)

    def connect(self, tag: records.Tag, made: Any, registry: Any) -> None:
        if self.taken:
            raise StageError("the addresses are in use")
        self.connected = True

    def clone(self, spec: Spec, origin: Origin, undo: ExitStack) -> ProvidedNodes:
        raise NotImplementedError

    def inputs(self, nodes: NodesConfig) -> dict[str, Any]:
        return {}

    def create(self, spec: Spec, undo: ExitStack) -> ProvidedNodes:
        raise NotImplementedError

    def gone(self, lab: str, made: ProvidedNodes) -> str | None:
        return None if self.runs else "no node runs"

    def destroy(self, lab: str) -> None:
        there = retained.read(self.home, lab)
        self.runs = self.connected = False
        self.states &= {there.label} if there is not None else set()


class Host:
    """A host with a lab, run after run."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "cache", folder / "state")
        self.provider = Memory(self.paths.state)
        self.said: list[str] = []
        self.settled = 0
        self.sick = False

    def run(self, *features: str, fresh: tuple[str, ...] = ()) -> tuple[Engine, RetainedGolden]:
        provider = cast("Any", self.provider)
        stages = (Images(), Nodes(self.provider), Cloud(list(features)))
        engine = Engine("lab", stages, self.paths, fresh=fresh, say=self.said.append)
        saves = Saves("lab", self.paths.lab("lab"), provider)

        lease = Lease(self.paths.state / "labs" / "lab.lease")
        rewind = Rewind(engine, saves, lease, resolve=lambda *_: ())
        return engine, RetainedGolden(rewind, wanted=True)

    def settle(self, *of: Any) -> None:
        """What stands for the waiting until all is healthy, which tells the log of it."""
        *_, log, _ = of
        with log.open("a") as file:
            file.write("not healthy yet\n")
        self.settled += 1
        if self.sick:
            raise StageError("the cloud is not healthy")

    def deploy(self, *features: str) -> None:
        """A whole session: built, saved, kept, destroyed."""
        engine, goldens = self.run(*features)
        engine.ensure("cloud")
        goldens.saves.save("golden")
        goldens.keep()
        engine.destroy()
        # As the lab does: its logs go too.
        shutil.rmtree(self.paths.lab("lab"))

    def actions(self, *features: str, fresh: tuple[str, ...] = ()) -> list[str]:
        engine, goldens = self.run(*features, fresh=fresh)
        return [step.action for step in goldens.plan(engine.plan())]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host(tmp_path)
    monkeypatch.setattr(readiness, "settle", host.settle)
    return host


def test_the_next_lab_starts_from_what_was_kept(host: Host) -> None:
    host.deploy("sfc", "bgpvpn")
    password = (retained.folder(host.paths.state, "lab") / "labs/lab/saves").glob(
        "*/cloud/password"
    )
    (first,) = (path.read_text() for path in password)
    assert not host.provider.runs
    assert host.actions("sfc") == [REUSE, ROLLBACK, ROLLBACK]
    engine, goldens = host.run("sfc")
    goldens.revive()
    assert [step.action for step in engine.plan()] == [REUSE] * 3
    assert (host.paths.lab("lab") / "cloud" / "password").read_text() == first
    assert (host.paths.lab("lab") / "nodes" / "key").read_text() == first
    assert host.settled == 1
    # As often as one likes, and `fresh_cloud` has its golden state.
    assert [save.name for save in goldens.saves.list()] == ["golden"]
    file = retained.folder(host.paths.state, "lab") / retained.FILE
    os.utime(file, (0, 0))
    goldens.keep()
    assert time.time() - file.stat().st_mtime < 60
    engine.destroy()
    assert host.actions("sfc") == [REUSE, ROLLBACK, ROLLBACK]


def test_the_plan_says_what_a_superset_has(host: Host) -> None:
    host.deploy("bgpvpn", "sfc")
    engine, goldens = host.run("sfc")
    *_, cloud = goldens.plan(engine.plan())
    assert cloud.reason.endswith(", which has bgpvpn sfc")


def test_what_does_not_serve_is_left_alone(host: Host) -> None:
    host.deploy("sfc")
    assert host.actions("compute") == [REUSE, BUILD, BUILD]
    assert host.actions("sfc", fresh=("cloud",)) == [REUSE, BUILD, BUILD]
    engine, goldens = host.run("compute")
    goldens.revive()
    assert not host.provider.runs
    engine.ensure("cloud")
    assert host.actions("sfc") == [REUSE, BUILD, BUILD]
    engine.destroy()
    assert host.actions("sfc") == [REUSE, ROLLBACK, ROLLBACK]


def test_the_last_one_takes_the_place_of_the_one_before(host: Host) -> None:
    host.deploy("sfc")
    host.deploy("compute")
    assert len(host.provider.states) == 1
    assert host.actions("sfc") == [REUSE, BUILD, BUILD]
    assert host.actions("compute") == [REUSE, ROLLBACK, ROLLBACK]


@pytest.mark.parametrize("wrong", ["taken", "sick"])
def test_one_that_does_not_come_back_is_dropped_and_the_lab_built_as_ever(
    host: Host, wrong: str
) -> None:
    host.deploy("sfc")
    if wrong == "taken":
        host.provider.taken = True
    else:
        host.sick = True
    engine, goldens = host.run("sfc")
    goldens.revive()
    assert "is unusable" in host.said[-1]
    assert host.provider.states == set()
    assert retained.read(host.paths.state, "lab") is None
    assert [step.action for step in engine.plan()] == [REUSE, BUILD, BUILD]
    engine.ensure("cloud")


class Killed(BaseException):
    """Stands for a SIGKILL: nothing below catches it."""


@pytest.mark.parametrize(
    ("point", "then"),
    [
        # Nothing was destroyed yet: the next run has the lab as it is, and keeps it in its turn.
        ("golden:written", [REUSE, REUSE, REUSE]),
        ("golden:kept", [REUSE, REUSE, REUSE]),
        # Nothing of the lab is recorded: once more from the start.
        ("golden:connected", [REUSE, ROLLBACK, ROLLBACK]),
        # There are records and no nodes: the lab is built, and what was kept is still there.
        ("golden:nodes-recorded", [REUSE, BUILD, BUILD]),
    ],
)
def test_a_kill_loses_nothing(
    host: Host, monkeypatch: pytest.MonkeyPatch, point: str, then: list[str]
) -> None:
    def die(name: str) -> None:
        if name == point:
            raise Killed

    if point in ("golden:written", "golden:kept"):
        engine, goldens = host.run("sfc")
        engine.ensure("cloud")
        goldens.saves.save("golden")
        act = goldens.keep
    else:
        host.deploy("sfc")
        act = host.run("sfc")[1].revive
    with monkeypatch.context() as patched:
        patched.setattr("pytest_kollalab.stages.states.goldens.point", die)
        with pytest.raises(Killed):
            act()
    assert host.actions("sfc") == then
    engine, goldens = host.run("sfc")
    goldens.revive()
    engine.ensure("cloud")
    goldens.keep()
    engine.destroy()
    assert len(host.provider.states) == 1
    assert host.actions("sfc") == [REUSE, ROLLBACK, ROLLBACK]


def test_one_of_which_the_provider_has_lost_a_part_is_not_planned_with(host: Host) -> None:
    host.deploy("sfc")
    host.provider.states.clear()
    assert host.actions("sfc") == [REUSE, BUILD, BUILD]


def test_a_golden_state_that_cannot_be_saved_fails_nothing(host: Host) -> None:
    import requests

    engine, goldens = host.run("sfc")
    engine.ensure("cloud")

    def refuse(lab: str, name: str) -> int:
        raise requests.ConnectionError("docker is gone")

    host.provider.save = refuse  # type: ignore[method-assign]
    goldens.rewind.keep_golden()
    assert host.said[-1].startswith("no golden state is kept: a request to docker failed")
    assert goldens.saves.list() == []
    assert goldens.saves.unfinished() is None


def test_a_golden_state_that_a_user_saved_is_not_replaced(host: Host) -> None:
    engine, goldens = host.run("sfc")
    engine.ensure("cloud")
    goldens.saves.save("golden", by="somebody")
    before = goldens.saves.list()
    goldens.rewind.keep_golden()
    assert host.said[-1] == "no golden state is kept: a state golden was saved by a user"
    assert goldens.saves.list() == before
