"""Where settings come from, and which Kolla-Ansible variables a release knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.lab.explain import layered
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import Config
from pytest_kollalab.stages.cloud import variables
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import default_paths

TOML = """\
[images]
mode = "build"

[globals]
neutron_dns_domain = "lab.example."
enable_nova = false

[run]
keep = "failed"
name = "fromfile"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KOLLALAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path / "state"))
    (tmp_path / ".git").mkdir()
    (tmp_path / "kollalab.toml").write_text(TOML)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_setting_and_where_it_comes_from(folder: Path) -> None:
    arguments = ["plan", "--explain", "--json", "--name", "mine", "--until", "images"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    found = {each["name"]: (each["value"], each["source"]) for each in told["settings"]}
    file = str(folder / "kollalab.toml")
    assert found["release"] == ("2026.1", "default")
    assert found["images.mode"] == ("build", file)
    assert found["nodes.suite"] == ("trixie", "default")
    assert found["run.keep"] == ("failed", file)
    assert found["run.name"] == ("mine", "--name")
    assert found["run.until"] == ("images", "--until")
    assert found["run.threads"] == (0, "default")
    assert found["globals.neutron_dns_domain"] == ("lab.example.", file)
    assert found["globals.enable_nova"] == (False, file)
    assert found["globals.enable_glance"] == (True, "feature compute")
    assert found["globals.enable_neutron_sfc"] == (True, "feature sfc")
    assert found["globals.enable_horizon"] == (False, "default")
    assert found["globals.ovs_datapath"] == ("netdev", "provider docker")
    assert [each["stage"] for each in told["stages"]] == ["tools", "images"]


def test_for_people_it_is_a_line_each(folder: Path) -> None:
    text = CliRunner().invoke(main, ["plan", "--explain", "--until", "tools"]).output
    assert '"fromfile"  (' in text
    assert "run.provider" in text
    assert "settings" not in CliRunner().invoke(main, ["plan", "--until", "tools"]).output


def test_a_list_that_several_joined_names_them() -> None:
    layers = [("feature a", {"x": [1]}), ("feature b", {"x": [2]}), ("user", {"y": 1})]
    assert layered(layers, "x", [1, 2]) == "feature a and feature b"  # type: ignore[arg-type]
    assert layered(layers, "y", 1) == "user"  # type: ignore[arg-type]


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    share = tmp_path / "venv" / "share" / "kolla-ansible"
    files.write(share / "ansible/group_vars/all/neutron.yml", "---\nenable_neutron_sfc: no\n")
    files.write(share / "ansible/roles/nova/defaults/main.yml", "nova_x:\n  inner: 1\n")
    files.write(share / "etc_examples/kolla/globals.yml", "# A comment: x\n#kolla_fraction:\n")
    return tmp_path / "venv"


def test_the_variables_that_a_release_knows(venv: Path) -> None:
    found = variables.known(venv)
    assert {"enable_neutron_sfc", "nova_x", "kolla_fraction"} <= found
    assert "inner" not in found


def test_an_unknown_variable_names_the_nearest(venv: Path) -> None:
    variables.check(["nova_x", "ansible_user"], venv, "2026.1")
    with pytest.raises(ConfigError, match="no variable enable_neutron_scf") as caught:
        variables.check(["enable_neutron_scf"], venv, "2026.1")
    assert caught.value.hint == "did you mean 'enable_neutron_sfc'?"
    with pytest.raises(ConfigError) as caught:
        variables.check(["zzz"], venv, "2026.1")
    assert caught.value.hint == "take it out of [globals]"


def test_before_there_are_tools_nothing_is_said(tmp_path: Path) -> None:
    variables.check(["whatever"], tmp_path, "2026.1")


def test_the_plan_refuses_an_unknown_variable_once_there_are_tools(
    folder: Path, venv: Path
) -> None:
    lab = Lab(Config(globals={"enable_neutron_scf": True}), paths=default_paths())
    lab.plan()
    key = lab.engine.key("tools")
    record = Record("tools", key, "run", READY, inputs={}, made={"venv": str(venv)})
    records.save(lab.paths.cache / "stages" / "tools" / "records" / f"{key}.json", record)
    with pytest.raises(ConfigError, match="enable_neutron_scf"):
        lab.plan("tools")
