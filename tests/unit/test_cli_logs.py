"""The verb logs: which command each argument becomes."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pytest_kollalab.cli import logs, main
from pytest_kollalab.cli.frame import EXIT_FAILED, EXIT_USAGE
from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.system import files
from tests import made


@pytest.fixture
def became(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What the process would become; cache and state are the test's own."""
    monkeypatch.setenv("KOLLALAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path / "state"))
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    found: list[list[str]] = []
    monkeypatch.setattr(logs, "become", found.append)
    monkeypatch.setattr(logs, "_containers", lambda lab, node: ["keystone", "neutron_server"])
    return found


@pytest.fixture
def lab(tmp_path: Path, became: list[list[str]]) -> Path:
    """A record of nodes, and two logs of the cloud."""
    folder = tmp_path / "state" / "labs" / "lab"
    nodes = made.nodes(ssh_config=Path("/ssh_config"))
    record = Record("nodes", "k", "r", READY, inputs={}, made=nodes.to_json())
    records.save(folder / "nodes.json", record)
    for name in ("cloud.log", "cloud-prechecks.log"):
        files.write(folder / "logs" / name, "something\n")
    return folder


def kollalab(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["logs", *arguments])


def test_nothing_named_lists_what_there_is(lab: Path, became: list[list[str]]) -> None:
    text = kollalab().output
    assert f"cloud         {lab}/logs/cloud-prechecks.log" in text
    assert "controller-1  keystone neutron_server" in text
    assert became == []


def test_following_without_a_name_follows_all_stages(lab: Path, became: list[list[str]]) -> None:
    kollalab("-f", "-n", "5")
    names = [str(lab / "logs" / name) for name in ("cloud.log", "cloud-prechecks.log")]
    assert became == [["tail", "-n", "5", "-F", *names]]


def test_a_stage_is_its_files(lab: Path, became: list[list[str]]) -> None:
    kollalab("cloud")
    assert became[0][:3] == ["tail", "-n", "100"]
    missing = kollalab("images")
    assert missing.exit_code == EXIT_FAILED
    assert "what now: kollalab up --until images" in missing.output


def test_a_stage_that_is_ready_without_a_log_is_not_to_be_built(
    lab: Path, became: list[list[str]]
) -> None:
    result = kollalab("nodes")
    assert result.exit_code == EXIT_FAILED
    assert "stage nodes has no log\n" in result.output
    assert "--until" not in result.output


def test_a_node_is_its_journal(lab: Path, became: list[list[str]]) -> None:
    kollalab("compute-1")
    assert became[0][-2:] == ["compute-1", "journalctl --boot --lines 100 --no-pager"]
    kollalab("compute-1", "-f")
    assert "-t" in became[1]
    assert became[1][-1].endswith("--follow")


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["compute-2"], "'compute-1'"),
        (["clod"], "'cloud'"),
        (["compute-1", "neutron_serve"], "'neutron_server'"),
    ],
)
def test_a_mistake_names_the_nearest(
    lab: Path, became: list[list[str]], arguments: list[str], meant: str
) -> None:
    result = kollalab(*arguments)
    assert result.exit_code == EXIT_USAGE
    assert f"did you mean {meant}?" in result.output
    assert became == []


def test_without_a_lab_there_is_a_message(became: list[list[str]]) -> None:
    for arguments in ((), ("-f",)):
        result = kollalab(*arguments)
        assert result.exit_code == EXIT_FAILED
        assert "there is no lab lab" in result.output
        assert "kollalab up" in result.output
    assert "has no nodes" in kollalab("controller-1").output


def test_shared_logs_do_not_pass_for_those_of_a_lab_that_is_not_there(
    tmp_path: Path, became: list[list[str]]
) -> None:
    files.write(tmp_path / "cache" / "logs" / "images.log", "something\n")
    result = kollalab("--name", "nosuch")
    assert "there is no lab nosuch" in result.output
    assert "images.log" in result.output
    assert "there is no lab nosuch" in kollalab("--name", "nosuch", "-f").output
    assert became[0][-1].endswith("images.log")


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ("neutron_server", ["neutron-server.log"]),
        ("openvswitch_db", ["ovsdb.log", "vswitchd.log"]),
        ("cron", []),
    ],
)
def test_the_files_of_a_container(tmp_path: Path, container: str, expected: list[str]) -> None:
    for name in ("neutron/neutron-server", "neutron/dnsmasq", "openvswitch/ovsdb"):
        files.write(tmp_path / "kolla" / f"{name}.log", f"from {name}\n")
    files.write(tmp_path / "kolla" / "openvswitch" / "vswitchd.log", "from vswitchd\n")
    docker = tmp_path / "bin" / "docker"
    files.write(docker, "#!/bin/sh\necho docker: $*\n")
    docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
    script = logs.CONTAINER.replace("/var/log/kolla", str(tmp_path / "kolla"))
    text = subprocess.run(
        ["sh", "-c", script, "logs", container, "10", ""],
        env=os.environ | {"PATH": f"{docker.parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert f"docker: logs --tail 10 {container}" in text
    shown = [Path(line.split()[1]).name for line in text.splitlines() if line.startswith("==> /")]
    assert shown == expected


def test_neither_a_stage_nor_a_node_is_told_without_nodes_too(became: list[list[str]]) -> None:
    result = kollalab("imagse")
    assert result.exit_code == EXIT_USAGE
    assert "there is no node or stage 'imagse'" in result.output
    assert "lab lab has no nodes" in result.output
    assert "known: tools, images, nodes, cloud" in result.output


def test_a_stage_has_no_containers(lab: Path) -> None:
    result = kollalab("cloud", "neutron_server")
    assert result.exit_code == EXIT_USAGE
    assert "the stage cloud has no container 'neutron_server'" in result.output
    assert "kollalab logs NODE neutron_server" in result.output
