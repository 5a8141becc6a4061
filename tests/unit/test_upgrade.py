"""Upgrades to another release: which there are, and what of one is left on disk."""

from __future__ import annotations

import dataclasses
import json
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import REUSE, Engine
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.lab import checks
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers import choice
from pytest_kollalab.providers.base import ProvidedNodes, Provider, Saving, Spec
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, NodesConfig, Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.cloud import connect as connecting
from pytest_kollalab.stages.cloud import health, passwords, readiness
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.cloud.making import Making
from pytest_kollalab.stages.states import upgrade
from pytest_kollalab.stages.states.saves import DEPLOY, GOLDEN, UPGRADE
from pytest_kollalab.stages.states.upgrade import Upgrading
from pytest_kollalab.system.errors import BusyError, ConfigError, HostError, StageError, StateError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from tests import made

GENPWD = """\
#!/bin/sh
# As kolla-genpwd: it gives what has no value one, and lets everybody read the file.
sed -i 's/: null$/: made/' "$2"
chmod 640 "$2"
"""


@pytest.fixture(autouse=True)
def no_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")


@pytest.fixture
def lab(paths: Paths) -> Lab:
    return Lab(Config(), Options(), paths=paths, say=lambda _: None)


def deployed(lab: Lab, release: str, status: str = READY, *features: str) -> None:
    """Leave the record of a cloud."""
    inputs = {"release": release, "features": ["core", *features]}
    lab.folder.mkdir(parents=True, exist_ok=True)
    records.save(lab.folder / "cloud.json", Record("cloud", "key", "run", status, inputs))


@pytest.mark.parametrize(
    ("source", "to", "told"),
    [
        ("2026.1", "2026.1", "has the release 2026.1 already"),
        ("2026.2", "2026.1", "does not go back to 2026.1"),
        ("2026.1", "2026.3", "'2026.3' is not supported"),
        ("2025.1", "2026.1", "from 2025.1 to 2026.1 is not possible"),
        ("2026.1", "2025.2", "is not possible"),
        ("2024.2", "2026.1", "from 2024.2 to 2026.1 is not possible"),
        ("2026.1", "2026", "'2026' is not supported"),
        ("2026.1.1", "2026.2", "a cloud of 2026.1.1 cannot be upgraded"),
        ("2031.1", "2026.2", "a cloud of 2031.1 does not go back"),
    ],
)
def test_not_every_release_leads_to_every_other(source: str, to: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        upgrade.check_path(source, to)


def test_the_next_release_is_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade.check_path("2026.1", "2026.2")
    later = dataclasses.replace(releases.RELEASES["2026.2"], name="2027.1")
    monkeypatch.setitem(releases.RELEASES, "2027.1", later)
    with pytest.raises(ConfigError, match=r"leaves out 2026\.2") as error:
        upgrade.check_path("2026.1", "2027.1")
    assert "--to 2026.2 first" in error.value.hint


def test_the_reason_against_older_releases_is_told() -> None:
    with pytest.raises(ConfigError) as error:
        upgrade.check_path("2025.1", "2026.1")
    assert "RabbitMQ" in error.value.details


def test_the_nearest_release_is_told() -> None:
    with pytest.raises(ConfigError) as error:
        upgrade.check_path("2026.1", "2026.22")
    assert "2026.2" in error.value.hint


def test_a_lab_without_a_cloud_is_not_upgraded(lab: Lab) -> None:
    with pytest.raises(StageError, match="lab lab has no cloud to upgrade"):
        lab.upgrade("2026.2")


def test_what_counts_is_the_release_that_the_cloud_has(paths: Paths, lab: Lab) -> None:
    deployed(lab, "2026.2")
    # Its configuration says otherwise.
    assert lab.config.release == "2026.1"
    with pytest.raises(ConfigError, match=r"has the release 2026\.2 already"):
        lab.upgrade("2026.2")


def test_a_feature_that_the_release_does_not_have_is_told_before_anything(lab: Lab) -> None:
    deployed(lab, "2026.1", READY, "tacker")
    with pytest.raises(Exception, match="tacker") as error:
        lab.upgrade("2026.2")
    assert "2026.2" in str(error.value)
    assert sorted(path.name for path in lab.folder.iterdir()) == ["cloud.json"]


@pytest.mark.parametrize("verb", ["plan", "ensure"])
def test_a_lab_in_the_middle_of_an_upgrade_is_not_used(lab: Lab, verb: str) -> None:
    deployed(lab, "2026.2", records.FAILED)
    begun = dataclasses.asdict(Upgrading("2026.1", "2026.2", "before-2026-2"))
    (lab.folder / UPGRADE).write_text(json.dumps(begun))
    with pytest.raises(StageError, match=r"from 2026\.1 to 2026\.2 has not ended") as error:
        lab.plan() if verb == "plan" else lab.ensure("cloud")
    assert "kollalab rollback before-2026-2 --name lab" in error.value.hint
    assert "kollalab upgrade --to 2026.2 --name lab" in error.value.hint


def test_without_a_saved_state_there_is_no_way_back(lab: Lab) -> None:
    assert "rollback" not in Upgrading("2026.1", "2026.2").error("lab").hint


def test_a_damaged_note_of_an_upgrade_is_told(lab: Lab) -> None:
    deployed(lab, "2026.1")
    (lab.folder / UPGRADE).write_text("{")
    with pytest.raises(StateError, match="upgrading is damaged"):
        lab.plan()


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    examples = tmp_path / "venv" / "share" / "kolla-ansible" / "etc_examples" / "kolla"
    examples.mkdir(parents=True)
    (examples / "passwords.yml").write_text("---\nold_password:\nnew_password:\n")
    program = tmp_path / "venv" / "bin" / "kolla-genpwd"
    program.parent.mkdir()
    program.write_text(GENPWD)
    program.chmod(0o755)
    return tmp_path / "venv"


def test_passwords_stay_and_those_of_the_new_release_come(venv: Path, tmp_path: Path) -> None:
    path = tmp_path / "passwords.yml"
    path.write_text("old_password: kept\ngone_password: kept too\n")
    passwords.generate(venv, path, ["feature_password"])
    assert yaml.safe_load(path.read_text()) == {
        "old_password": "kept",
        "gone_password": "kept too",
        "new_password": "made",
        "feature_password": "made",
    }
    assert path.stat().st_mode & 0o777 == 0o600
    before = path.stat().st_ino
    passwords.generate(venv, path, ["feature_password"])
    assert path.stat().st_ino == before


class Memory(Provider, Saving):
    """Nodes that are always there, and states that are there until they are cleared."""

    name = "memory"

    def __init__(self) -> None:
        self.saving = self
        self.states: set[str] = set()

    def save(self, lab: str, name: str) -> int:
        self.states.add(name)
        return 0

    def restore(self, lab: str, name: str) -> None:
        assert name in self.states

    def saved(self, lab: str) -> list[str]:
        return sorted(self.states)

    def clear(self, lab: str, name: str) -> None:
        self.states.discard(name)

    def inputs(self, nodes: NodesConfig) -> dict[str, Any]:
        return {}

    def create(self, spec: Spec, undo: ExitStack) -> ProvidedNodes:
        raise NotImplementedError

    def gone(self, lab: str, made: ProvidedNodes) -> str | None:
        return None

    def destroy(self, lab: str) -> None:
        raise NotImplementedError


class Host:
    """A host with a deployed lab of 2026.1; what needs nodes and images is imagined.

    Attributes:
        built: The stages that were asked for, or found without trouble.
        upgraded: The releases that clouds were upgraded from.
        settled: The names of the containers of Keystone that were waited for after a rollback.
    """

    def __init__(self, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
        self.paths = paths
        self.memory = Memory()
        self.said: list[str] = []
        self.built: list[str] = []
        self.upgraded: list[str] = []
        self.settled: list[str] = []
        self.sick = self.fails = self.is_full = False
        monkeypatch.setattr(Engine, "ensure", self.ensure)
        monkeypatch.setattr(Making, "upgrade", self.upgrade)
        monkeypatch.setattr(connecting, "connect", lambda _: nullcontext())
        monkeypatch.setattr(health, "wait_until_healthy", self.wait)
        monkeypatch.setattr(readiness, "settle", self.settle)
        monkeypatch.setattr(choice, "check_host", self.check_host)
        monkeypatch.setattr(room, "check_stages", self.check_room)
        monkeypatch.setattr(checks, "check_sources", lambda *_: None)
        lab = self.lab()
        folder = lab.folder
        self.cloud = made.cloud("core", folder=folder / "cloud")
        key = paths.state / "id_ed25519"
        nodes = made.nodes({}, ssh_key=key, ssh_config=paths.state / "ssh_config")
        for stage, what in (("nodes", nodes), ("cloud", self.cloud)):
            inputs = lab.engine.stages[stage].inputs()
            record = Record(stage, "key", "earlier", READY, inputs, made=what.to_json())
            (folder / stage).mkdir(parents=True)
            records.save(folder / f"{stage}.json", record)
        key.touch()
        self.cloud.etc.mkdir()
        self.cloud.clouds_yaml.touch()
        self.cloud.passwords.touch()

    def lab(self, release: str = "2026.1") -> Lab:
        given = Extensions((Extension("one", providers={"memory": lambda *_: self.memory}),))
        options = Options(provider="memory")
        config = Config(release=release)
        say = self.said.append
        return Lab(config, options, paths=self.paths, extensions=given, say=say)

    def ensure(self, stage: str) -> Any:
        self.built.append(stage)

    def upgrade(self, work: Work, source: str) -> CloudMade:
        if self.fails:
            raise StageError("the deploy of neutron failed", details="a task failed")
        self.upgraded.append(source)
        return dataclasses.replace(self.cloud, upgraded_from=source)

    def wait(self, *_: Any, **__: Any) -> None:
        if self.sick:
            raise StageError("it did not become healthy", details="keystone is unhealthy")

    def settle(self, *of: Any) -> None:
        resolve = of[4]
        (core,) = resolve(["core"])
        self.settled += [n for n in core.containers["control"] if n in ("keystone", "keystone_api")]

    def check_host(self, *_: Any) -> None:
        self.built.append("host")

    def check_room(self, stages: Any, cache: Path) -> None:
        if self.is_full:
            raise HostError("there is not enough free space", details=", ".join(map(str, stages)))


@pytest.fixture
def host(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(paths, monkeypatch)


def test_the_lab_is_of_the_new_release_afterwards(host: Host) -> None:
    lab = host.lab()
    assert lab.upgrade("2026.2").upgraded_from == "2026.1"
    assert lab.config.release == "2026.2"
    assert lab.engine.stages["cloud"].inputs()["release"] == "2026.2"
    for each in (lab, host.lab("2026.2")):
        steps = {step.stage: step.action for step in each.engine.plan()}
        assert (steps["nodes"], steps["cloud"]) == (REUSE, REUSE)
    assert not (lab.folder / UPGRADE).exists()
    assert sorted(save.name for save in lab.rewind.saves.list()) == ["before-2026-2", "golden"]


def test_nothing_of_the_lab_is_of_the_former_release_afterwards(host: Host) -> None:
    lab = host.lab()
    former = (lab.engine, lab.rewind, lab.retained, lab.fetch)
    provider, consent = lab.provider, lab.consent
    lab.upgrade("2026.2")
    now = (lab.engine, lab.rewind, lab.retained, lab.fetch)
    assert not any(one is other for one, other in zip(former, now, strict=True))
    assert lab.fetch.engine is lab.retained.engine is lab.rewind.engine is lab.engine
    assert lab.provider is provider
    assert lab.consent is consent


def test_who_uses_the_lab_may_upgrade_it(host: Host) -> None:
    lab = host.lab()
    lab.lease.take()
    try:
        lab.upgrade("2026.2")
        assert lab.lease.path.exists()
        # What this run has saved goes with it, unasked.
        assert lab.consent.at_stake() == []
        # It still has the lab: another run may not change it.
        with pytest.raises(BusyError):
            host.lab("2026.2").save("other")
    finally:
        lab.lease.release()


def test_a_lab_that_others_use_is_not_upgraded(host: Host) -> None:
    other = Lease(host.lab().lease.path, "other")
    other.take()
    try:
        with pytest.raises(BusyError, match="in use by another run"):
            host.lab().upgrade("2026.2")
    finally:
        other.release()
    assert host.upgraded == []


def test_a_lab_that_is_not_healthy_stays_as_it_is(host: Host) -> None:
    host.sick = True
    lab = host.lab()
    with pytest.raises(StageError, match="is not healthy, so it is not upgraded") as error:
        lab.upgrade("2026.2")
    assert "keystone is unhealthy" in error.value.details
    assert lab.config.release == "2026.1"
    assert host.upgraded == []
    assert host.memory.states == set()
    assert not (lab.folder / UPGRADE).exists()


def test_an_upgrade_that_fails_goes_back_or_on(host: Host) -> None:
    host.fails = True
    lab = host.lab()
    with pytest.raises(StageError, match="the deploy of neutron failed") as error:
        lab.upgrade("2026.2")
    assert "kollalab rollback before-2026-2 --name lab" in error.value.hint
    assert "kollalab upgrade --to 2026.2 --name lab" in error.value.hint
    assert lab.config.release == "2026.1"
    for release in ("2026.1", "2026.2"):
        with pytest.raises(StageError, match="has not ended"):
            host.lab(release).plan()
    states = set(host.memory.states)
    with pytest.raises(StageError, match="the deploy of neutron failed"):
        host.lab().upgrade("2026.2")
    # What was saved before it began is still the way back.
    assert host.memory.states == states
    host.fails = False
    host.lab().upgrade("2026.2")
    assert host.upgraded == ["2026.1"]


def test_back_in_the_older_release_its_own_containers_are_waited_for(host: Host) -> None:
    host.fails = True
    with pytest.raises(StageError):
        host.lab().upgrade("2026.2")
    # Whatever release is configured by then.
    host.lab("2026.2").rollback("before-2026-2")
    assert host.settled == ["keystone"]
    record = host.lab().records()["cloud"]
    assert (record.status, record.inputs["release"]) == (READY, "2026.1")
    host.fails = False
    host.lab().upgrade("2026.2")
    host.settled.clear()
    host.lab("2026.1").rollback("golden")
    assert host.settled == ["keystone_api"]


def test_a_disk_that_is_too_full_is_told_before_the_lab_is_touched(host: Host) -> None:
    host.is_full = True
    lab = host.lab()
    there = sorted(path.name for path in lab.folder.iterdir())
    with pytest.raises(HostError, match="not enough free space"):
        lab.upgrade("2026.2")
    assert "images" not in host.built
    assert sorted(path.name for path in lab.folder.iterdir()) == there


def test_sources_that_do_not_answer_are_told_before_the_lab_is_touched(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(engine: Engine, steps: Any) -> None:
        raise StageError("the Debian mirror has no suite forky")

    monkeypatch.setattr(checks, "check_sources", refuse)
    with pytest.raises(StageError, match="has no suite forky"):
        host.lab().upgrade("2026.2")
    assert "images" not in host.built
    assert host.memory.states == set()


def test_a_cloud_that_is_half_made_is_none(host: Host) -> None:
    path = host.lab().folder / "cloud.json"
    record = records.load(path)
    assert record is not None
    records.save(path, record.with_status(records.FAILED, error="stopped"))
    with pytest.raises(StageError, match="no cloud to upgrade"):
        host.lab().upgrade("2026.2")
    assert host.built == []


def test_a_record_without_a_release_is_no_traceback(host: Host) -> None:
    path = host.lab().folder / "cloud.json"
    record = records.load(path)
    assert record is not None
    records.save(path, dataclasses.replace(record, inputs={"features": ["core"]}))
    with pytest.raises(StageError, match="nobody knows the release"):
        host.lab().upgrade("2026.2")


def test_a_release_of_a_newer_version_is_no_traceback(host: Host) -> None:
    path = host.lab().folder / "cloud.json"
    record = records.load(path)
    assert record is not None
    records.save(path, dataclasses.replace(record, inputs={**record.inputs, "release": "2031.1"}))
    with pytest.raises(ConfigError, match=r"a cloud of 2031\.1 does not go back to 2026\.2"):
        host.lab().upgrade("2026.2")


@pytest.fixture
def golden(host: Host) -> None:
    """The golden state of the deploy."""
    host.lab().rewind.save(GOLDEN, by=DEPLOY)


@pytest.mark.usefixtures("golden")
def test_the_golden_state_is_that_of_the_new_release(host: Host) -> None:
    lab = host.lab()
    lab.upgrade("2026.2")
    (golden,) = (save for save in lab.rewind.saves.list() if save.name == GOLDEN)
    assert golden.cloud == lab.records()["cloud"].run != "earlier"


@pytest.mark.usefixtures("golden")
def test_without_a_new_golden_state_the_old_one_goes_all_the_same(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = host.memory.save

    def refuse(lab: str, name: str) -> int:
        if name.startswith(GOLDEN):
            raise StageError("no room for it")
        return save(lab, name)

    monkeypatch.setattr(host.memory, "save", refuse)
    lab = host.lab()
    lab.upgrade("2026.2")
    assert [each.name for each in lab.rewind.saves.list()] == ["before-2026-2"]
    assert "no room for it" in host.said[-2]


class Killed(BaseException):
    """Stands for a SIGKILL: nothing below catches it."""


@pytest.mark.usefixtures("golden")
def test_an_upgrade_has_not_ended_before_its_golden_state_is_there(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = host.memory.save

    def die(lab: str, name: str) -> int:
        if name.startswith(GOLDEN):
            raise Killed
        return save(lab, name)

    with monkeypatch.context() as patched:
        patched.setattr(host.memory, "save", die)
        with pytest.raises(Killed):
            host.lab().upgrade("2026.2")
    with pytest.raises(StageError, match="has not ended"):
        host.lab("2026.2").plan()
    lab = host.lab()
    lab.upgrade("2026.2")
    (golden,) = (each for each in lab.rewind.saves.list() if each.name == GOLDEN)
    assert golden.cloud == lab.records()["cloud"].run
