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
from pytest_kollalab.stages.cloud import catalogue, variables
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import ConfigError

TOML = """\
[images]
mode = "build"

[globals]
neutron_dns_domain = "lab.example."
enable_nova_ssh = false

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
    assert found["globals.enable_nova_ssh"] == (False, file)
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
def share(tmp_path: Path) -> Path:
    share = tmp_path / "share" / "kolla-ansible"
    files.write(share / "ansible/group_vars/all/neutron.yml", "---\nenable_neutron_sfc: no\n")
    files.write(share / "ansible/roles/nova/defaults/main.yml", "nova_x:\n  inner: 1\n")
    files.write(share / "etc_examples/kolla/globals.yml", "# A comment: x\n#kolla_fraction:\n")
    return share


def test_the_variables_that_a_release_knows(share: Path) -> None:
    found = catalogue.read(share).variables
    assert {"enable_neutron_sfc", "nova_x", "kolla_fraction"} <= found
    assert "inner" not in found


def test_an_unknown_variable_names_the_nearest(share: Path) -> None:
    known = catalogue.read(share)
    variables.check(["nova_x", "ansible_user"], known, "2026.1")
    with pytest.raises(ConfigError, match="no variable enable_neutron_scf") as caught:
        variables.check(["enable_neutron_scf"], known, "2026.1")
    assert caught.value.hint == "did you mean 'enable_neutron_sfc'?"
    with pytest.raises(ConfigError) as caught:
        variables.check(["zzz"], known, "2026.1")
    assert caught.value.hint == "take it out of [globals]"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[globals]\nenable_horizn = true", "did you mean 'enable_horizon'?"),
        ("[globals]\nenable_horizon = true", "it needs the image horizon"),
        ("[run]\nmirror = 'deb.debian.org'", "is no URL of a Debian mirror"),
        ("[nodes]\nsuite = 'bookworms'", "did you mean 'bookworm'?"),
        ("[images.overrides]\nkeystone = 'here'", "images.overrides does not count"),
        ("[run]\nclone_of = 'labb'", "there is no lab labb to clone"),
    ],
)
def test_the_plan_refuses_what_would_fail_before_there_are_tools(
    folder: Path, text: str, said: str
) -> None:
    (folder / "kollalab.toml").write_text(text)
    (folder / "here").mkdir()
    (folder / "here" / "Dockerfile").touch()
    for verb in (["plan"], ["up", "--until", "tools"]):
        result = CliRunner().invoke(main, verb)
        assert result.exit_code == 2, result.output
        assert said in result.output
    assert not (folder / "cache" / "tools").exists()


def test_the_lab_to_clone_is_the_nearest_or_there(folder: Path) -> None:
    records.save(folder / "state/labs/lab/nodes.json", Record("nodes", "k", "r", READY, {}))
    result = CliRunner().invoke(main, ["plan", "--name", "other", "--clone-of", "lap"])
    assert "did you mean 'lab'?" in result.output
    assert CliRunner().invoke(main, ["plan", "--name", "other", "--clone-of", "lab"]).exit_code == 0


def test_the_plan_says_what_the_lab_is(folder: Path) -> None:
    (folder / "kollalab.toml").write_text("features = ['bgpvpn']\n[nodes]\ndisk = 50\n")
    result = CliRunner().invoke(main, ["plan", "--feature", "sfc"])
    first, *_, last = result.output.splitlines()
    told = "lab lab: core bgpvpn sfc; release 2026.1, network backend ovs, provider docker"
    assert first == told
    assert last == "of [nodes] only suite counts here: the rest is for virtual machines"
    found = json.loads(CliRunner().invoke(main, ["plan", "--feature", "sfc", "--json"]).output)
    assert (found["lab"], found["backend"]) == ("lab", "ovs")
