"""Saved states: what is written down of them, and what a run that was killed leaves to be done."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.providers.base import Provider, Saving
from pytest_kollalab.stages.states.saves import RESTORING, SAVING, UPGRADE, Doing, Saves
from pytest_kollalab.system.errors import ConfigError, StageError


class Killed(BaseException):
    """Stands for a SIGKILL: nothing below catches it."""


class Memory(Saving):
    """What keeps the states that it is told, and may die in the middle."""

    def __init__(self) -> None:
        self.states: set[str] = set()
        self.calls: list[str] = []
        self.dies = ""
        self.fails = ""

    def save(self, lab: str, name: str) -> int:
        self._do("save", name)
        self.states.add(name)
        return 2**20

    def restore(self, lab: str, name: str) -> None:
        self._do("restore", name)

    def saved(self, lab: str) -> list[str]:
        return sorted(self.states)

    def clear(self, lab: str, name: str) -> None:
        self._do("clear", name)
        self.states.discard(name)

    def _do(self, what: str, name: str) -> None:
        self.calls.append(f"{what} {name.split('.', maxsplit=1)[0]}")
        if self.dies == what:
            raise Killed
        if self.fails == what:
            raise StageError("the disk is full")


class Lab:
    """The folder of a lab with records, and a provider."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.memory = Memory()
        self.record("nodes", "run-1")

    @property
    def saves(self) -> Saves:
        provider = SimpleNamespace(name="memory", saving=self.memory)
        return Saves("lab", self.folder, cast("Provider", provider))

    def record(self, stage: str, run: str) -> None:
        made: dict[str, Any] = {"clouds_yaml": "x"} if stage == "cloud" else {}
        path = self.folder / f"{stage}.json"
        records.save(path, Record(stage, "key", run, READY, {}, made=made))

    def deploy(self, run: str, password: str) -> None:
        (self.folder / "cloud").mkdir(exist_ok=True)
        (self.folder / "cloud" / "passwords.yml").write_text(password)
        self.record("cloud", run)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def names(saves: Saves) -> list[str]:
    return [save.name for save in saves.list()]


def test_what_was_saved_is_listed_and_can_be_brought_back(lab: Lab) -> None:
    lab.saves.save("bare")
    assert names(lab.saves) == ["bare"]
    lab.saves.restore("bare")
    lab.saves.clear("bare")
    assert names(lab.saves) == []
    assert lab.memory.calls == ["save bare", "restore bare", "clear bare"]
    assert lab.saves.unfinished() is None


def test_the_older_of_two_with_one_name_goes_when_the_newer_is_whole(lab: Lab) -> None:
    first = lab.saves.save("bare")
    second = lab.saves.save("bare")
    assert lab.memory.states == {second.label} != {first.label}
    lab.memory.fails = "save"
    with pytest.raises(StageError, match="full"):
        lab.saves.save("bare")
    assert lab.memory.states == {second.label}
    assert lab.saves.find("bare") == second


def test_an_unknown_name_is_told_the_nearest(lab: Lab) -> None:
    with pytest.raises(ConfigError) as caught:
        lab.saves.restore("golden")
    assert "kollalab save" in caught.value.hint
    lab.saves.save("golden")
    with pytest.raises(ConfigError) as caught:
        lab.saves.restore("goldn")
    assert "golden" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot be the name"):
        lab.saves.save("Gold/en")


def test_a_state_that_is_not_on_every_node_changes_nothing(lab: Lab) -> None:
    lab.deploy("run-2", "secret")
    lab.saves.save("golden")
    lab.memory.states.clear()
    with pytest.raises(StageError, match="not whole") as caught:
        lab.saves.restore("golden")
    assert "kollalab clear golden" in caught.value.hint
    assert lab.memory.calls == ["save golden"]
    assert lab.saves.unfinished() is None
    lab.saves.clear("golden")
    assert names(lab.saves) == []


def test_states_of_nodes_that_were_built_anew_do_not_count(lab: Lab) -> None:
    lab.saves.save("bare")
    lab.record("nodes", "run-9")
    assert names(lab.saves) == []


def test_the_cloud_goes_and_comes_with_its_nodes(lab: Lab) -> None:
    lab.saves.save("bare")
    lab.deploy("run-2", "secret")
    lab.saves.save("golden")
    lab.saves.restore("bare")
    assert not (lab.folder / "cloud.json").exists()
    lab.saves.restore("golden")
    found = records.load(lab.folder / "cloud.json")
    assert found is not None
    assert found.run == "run-2"
    assert (lab.folder / "cloud" / "passwords.yml").read_text() == "secret"


def test_files_of_saved_clouds_are_private(lab: Lab) -> None:
    lab.deploy("run-2", "secret")
    save = lab.saves.save("golden")
    assert lab.folder.joinpath("saves", save.label).stat().st_mode & 0o077 == 0


def test_a_save_that_was_killed_is_taken_back(lab: Lab) -> None:
    lab.memory.dies = "save"
    with pytest.raises(Killed):
        lab.saves.save("bare")
    doing = lab.saves.unfinished()
    assert isinstance(doing, Doing)
    assert (doing.what, doing.save.name) == (SAVING, "bare")
    lab.memory.dies = ""
    lab.saves.finish()
    assert lab.memory.calls == ["save bare", "clear bare"]
    assert names(lab.saves) == []
    assert lab.saves.unfinished() is None


def test_a_rollback_that_was_killed_is_done_again(lab: Lab) -> None:
    lab.saves.save("bare")
    lab.deploy("run-2", "secret")
    lab.memory.dies = "restore"
    with pytest.raises(Killed):
        lab.saves.restore("bare")
    assert not (lab.folder / "cloud.json").exists(), "a cloud that may be half gone is not there"
    lab.memory.dies = ""
    doing = lab.saves.finish()
    assert doing is not None
    assert doing.what == RESTORING
    assert lab.memory.calls == ["save bare", "restore bare", "restore bare"]
    assert names(lab.saves) == ["bare"]


def test_a_clear_that_was_killed_goes_on(lab: Lab) -> None:
    lab.saves.save("bare")
    lab.memory.dies = "clear"
    with pytest.raises(Killed):
        lab.saves.clear("bare")
    lab.memory.dies = ""
    lab.saves.finish()
    assert lab.memory.states == set()
    assert names(lab.saves) == []


def test_what_was_killed_with_nodes_that_are_gone_is_forgotten(lab: Lab) -> None:
    lab.memory.dies = "save"
    with pytest.raises(Killed):
        lab.saves.save("bare")
    lab.record("nodes", "run-9")
    lab.memory.calls.clear()
    lab.saves.finish()
    assert lab.memory.calls == []
    assert lab.saves.unfinished() is None


def test_what_the_nodes_were_made_for_comes_back_with_an_older_cloud(lab: Lab) -> None:
    lab.deploy("cloud-1", "secret")
    lab.saves.save("before")
    lab.deploy("cloud-2", "secret")
    path = lab.folder / "nodes.json"
    upgraded = Record("nodes", "other", "run-1", READY, {}, needs={"images": "newer"})
    records.save(path, upgraded)
    (lab.folder / UPGRADE).write_text("{}")
    lab.saves.restore("before")
    record = records.load(path)
    assert record is not None
    assert (record.key, record.needs) == ("key", {})
    assert not (lab.folder / UPGRADE).exists()
