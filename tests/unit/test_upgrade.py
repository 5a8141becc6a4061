"""Upgrades to another release: which there are, and what of one is left on disk."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import yaml

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud import passwords
from pytest_kollalab.stages.states import upgrade
from pytest_kollalab.stages.states.saves import UPGRADE
from pytest_kollalab.stages.states.upgrade import Upgrading
from pytest_kollalab.system.errors import ConfigError, StageError, StateError
from pytest_kollalab.system.paths import Paths

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
