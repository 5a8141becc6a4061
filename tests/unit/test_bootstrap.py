"""bootstrap: other distributions, no network, no root; the host itself is left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

VERB = [sys.executable, "-m", "pytest_kollalab.cli", "bootstrap"]
BOOTSTRAP = Path(__file__).parents[2] / "bootstrap"


def bootstrap(
    *arguments: str, program: list[str] | None = None, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(program or [str(BOOTSTRAP)]), *arguments],
        cwd=cwd,
        env={"PYTHONPATH": str(BOOTSTRAP.parent), **os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder for commands that stand in for those of the host."""
    folder = tmp_path / "bin"
    folder.mkdir()
    return folder


def stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("distribution", "line"),
    [
        ("debian", "apt-get install --no-install-recommends docker.io mmdebstrap "),
        ("fedora", "dnf install moby-engine "),
        ("rhel", "dnf install docker-ce "),
        ("suse", "zypper install docker "),
        ("arch", "pacman -S --needed docker "),
        ("slackware", "your package manager, with the counterparts of Debian's docker.io "),
    ],
)
def test_every_distribution_has_its_list(distribution: str, line: str) -> None:
    result = bootstrap("--list", distribution)
    assert result.returncode == 0
    assert result.stdout.startswith(line)
    assert len(result.stdout.splitlines()) == 1


def test_an_unknown_argument_is_an_error() -> None:
    result = bootstrap("--lst")
    assert result.returncode == 1
    assert "unknown argument: --lst" in result.stderr


def test_apt_that_fails_is_shown_with_its_words(tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "dpkg-query", "exit 1")  # nothing is installed
    stand_in(tools, "apt-get", "echo 'E: Unable to locate package qemu-utils'; exit 100")
    stand_in(tools, "sudo", 'shift; exec "$@"')
    result = bootstrap(PATH=f"{tools}:{os.environ['PATH']}", XDG_STATE_HOME=str(tmp_path))
    assert result.returncode == 1
    assert "apt could not install:" in result.stderr
    assert "E: Unable to locate package qemu-utils" in result.stderr
    assert "what now: check the network" in result.stderr


def test_packages_to_install_without_root_or_sudo_is_an_error(tools: Path, tmp_path: Path) -> None:
    for name in ("bash", "uname", "dirname", "mkdir", "env", "grep", "sed", "tail"):
        (tools / name).symlink_to(Path("/usr/bin", name))
    stand_in(tools, "dpkg-query", "exit 1")
    stand_in(tools, "apt-cache", "exit 1")
    stand_in(tools, "id", "echo 1000")
    result = bootstrap(PATH=str(tools), XDG_STATE_HOME=str(tmp_path))
    assert result.returncode == 1
    assert "needs root" in result.stderr
    assert "install sudo" in result.stderr


def test_the_verb_installs_what_containers_need_and_machines_only_if_asked(tmp_path: Path) -> None:
    def listed(*arguments: str) -> set[str]:
        done = bootstrap("--list", *arguments, program=VERB, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")
        return set(done.stdout.split())

    containers = listed()
    assert {"mmdebstrap", "patch"} <= containers
    assert not {"virsh", "gcc", "qemu-utils"} & containers
    both = listed("--provider", "libvirt")
    assert both == set(bootstrap("--list").stdout.split()) > containers
    (tmp_path / "kollalab.toml").write_text('[run]\nprovider = "libvirt"\n')
    assert listed() == both


def test_what_is_to_be_run_again_is_what_was_called(tools: Path, tmp_path: Path) -> None:
    stand_in(tools, "dpkg-query", "exit 1")
    stand_in(tools, "apt-get", "exit 100")
    stand_in(tools, "sudo", 'shift; exec "$@"')
    where = {"PATH": f"{tools}:{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path)}
    for called, program, more in [
        ("./bootstrap", None, ()),
        ("kollalab bootstrap", VERB, ()),
        ("kollalab bootstrap --provider libvirt", VERB, ("--provider", "libvirt")),
    ]:
        failed = bootstrap(*more, program=program, cwd=tmp_path, **where)
        assert failed.returncode == 1
        assert f"then run {called} again" in failed.stderr
