"""bootstrap: other distributions, no network, no root; the host itself is left alone."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

BOOTSTRAP = Path(__file__).parents[2] / "bootstrap"


def bootstrap(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BOOTSTRAP, *arguments],
        env={**os.environ, **environment},
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
