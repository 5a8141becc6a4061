"""The host's examination: what is pure of it, and what the command prints."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.cli.frame import EXIT_HOST
from pytest_kollalab.lab import doctor
from pytest_kollalab.lab.doctor import Finding
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room, tools_python
from pytest_kollalab.system.paths import Paths


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ID=debian\n", "debian"),
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ('ID="opensuse-tumbleweed"\nID_LIKE="opensuse suse"\n', "suse"),
        ("ID=arch\n", "arch"),
        ("ID=plan9\n", ""),
    ],
)
def test_family_of_the_distribution(text: str, expected: str) -> None:
    assert doctor.family(text) == expected


def test_a_package_is_installed_under_the_name_that_the_distribution_gave_it() -> None:
    assert doctor.install("ssh", "debian").endswith(
        "apt-get install --no-install-recommends openssh-client"
    )
    assert doctor.install("ssh", "fedora").endswith("dnf install openssh-clients")
    assert doctor.install("mmdebstrap", "suse").endswith("zypper install mmdebstrap")
    assert "your package manager" in doctor.install("ssh", "")


def test_the_command_of_docker_is_installed_where_it_is_a_package_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert doctor.install("docker", "debian").endswith("--install-recommends docker.io")
    monkeypatch.setattr(shutil, "which", lambda name: name if name == "dockerd" else None)
    assert doctor.install("docker", "debian").endswith("--install-recommends docker-cli")
    assert doctor.install("docker", "fedora").endswith("dnf install moby-engine")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert doctor.install("patch", "fedora") == "as root: dnf install patch"


def test_memory_and_room_say_what_is_there_and_what_is_needed(tmp_path: Path) -> None:
    assert doctor.memory_finding(64 * room.GIB).status == "ok"
    little = doctor.memory_finding(room.GIB)
    assert (little.status, little.found) == ("problem", "1.0 GiB, a lab needs 7")
    none = doctor.room_finding("room", tmp_path / "not" / "there", 2**62, "make room")
    assert (none.status, none.fix) == ("problem", "make room")


RUN = """\
[run]
mirror = "http://127.0.0.1:1/debian"
provider_uri = "qemu:///system?socket=/nowhere"
"""


def test_a_host_without_docker_is_not_fit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (tmp_path / ".git").mkdir()
    (tmp_path / "kollalab.toml").write_text(RUN)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert result.exit_code == EXIT_HOST
    told = json.loads(result.output)
    assert told["fit"] is False
    found = {each["what"]: Finding(**each) for each in told["findings"]}
    assert found["docker daemon"].status == "problem"
    assert "DOCKER_HOST" in found["docker daemon"].fix
    assert found["Debian mirror"].status == "note"
    assert found["libvirt"].status == "note"

    text = CliRunner().invoke(main, ["doctor"]).output
    assert "problem  docker daemon" in text
    assert "what now: start the daemon at tcp://127.0.0.1:1" in text
    assert "cannot run here yet" in text


def test_every_host_that_labs_are_made_on_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, paths: Paths
) -> None:
    nowhere = "tcp://127.0.0.1:1"
    monkeypatch.setenv("DOCKER_HOST", nowhere)
    options = Options(provider="docker", hosts=("default", nowhere), mirror=nowhere)
    found = doctor.examine(Config(), options, paths)
    what = [each.what for each in found]
    assert [w for w in what if w.startswith("docker ")] == ["docker daemon", f"docker of {nowhere}"]
    elsewhere = found[what.index(f"docker of {nowhere}")]
    assert (elsewhere.status, "cannot be used" in elsewhere.found) == ("problem", True)
    assert "docker --host" in elsewhere.fix
    assert what.count("libvirt") == 1


def test_what_reaches_into_private_parts_is_looked_at(paths: Paths) -> None:
    options = Options(mirror="http://127.0.0.1:1")
    found = {each.what: each for each in doctor.examine(Config(), options, paths)}
    assert found["Mitogen"].status == "ok"
    assert found["Mitogen"].found.startswith("mitogen 0.3.")
    assert found["the toolbox server"].status == "ok"
    stock = {each.what for each in doctor.examine(Config(stock=True), options, paths)}
    assert not {"Mitogen", "the toolbox server"} & stock


def test_every_libvirt_that_labs_are_made_on_is_looked_at(paths: Paths) -> None:
    hosts = ("qemu:///system?socket=/nowhere", "qemu+unix:///system?socket=/nothing")
    options = Options(provider="libvirt", hosts=hosts, mirror="http://127.0.0.1:1")
    found = [each for each in doctor.examine(Config(), options, paths) if each.what == "libvirt"]
    assert [each.status for each in found] == ["problem", "problem"]
    assert "/nowhere" in found[0].found
    assert "/nothing" in found[1].found


def test_another_python_for_the_tools_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for told in (None, "the tools run with Python 3.13 of debian trixie"):
        monkeypatch.setattr(tools_python, "reason", lambda _, told=told: told)
        found = list(doctor._tools_python(Config(release="2026.2")))
        assert [(each.status, each.found) for each in found] == ([("ok", told)] if told else [])


@pytest.mark.parametrize(
    ("missing", "status", "told"),
    [
        ((), "ok", "all"),
        (
            ("SYS_RESOURCE",),
            "note",
            f"nodes do not have SYS_RESOURCE ({doctor.MEANS['SYS_RESOURCE']})",
        ),
        (("SYS_TIME",), "note", "nodes do not have SYS_TIME"),
        (("SYS_ADMIN",), "problem", "this host does not grant SYS_ADMIN"),
    ],
)
def test_what_a_missing_capability_means_is_told(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], status: str, told: str
) -> None:
    monkeypatch.setattr("pytest_kollalab.providers.capabilities.missing_here", lambda: missing)
    (found,) = (each for each in doctor._kernel() if each.what == "capabilities")
    assert (found.status, found.found) == (status, told)
