"""A configuration of docker whose logins cannot be had does not disturb who needs none."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

import docker
import docker.errors
import pytest

from pytest_kollalab.stages.images import mirror
from pytest_kollalab.system import daemon
from pytest_kollalab.system.errors import CommandError
from pytest_kollalab.system.run import run

# As kolla-build builds (kolla 22, `engine_adapter/engine.py` and `image/tasks.py`).
BUILD = """
import io, sys, docker
client = docker.DockerClient(version="auto", **docker.utils.kwargs_from_env())
file = io.BytesIO(b"FROM scratch\\nLABEL made=here")
client.images.build(fileobj=file, tag=sys.argv[1], rm=True)
"""


@pytest.fixture
def no_helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker's configuration asks a credential helper that is not installed for every login."""
    folder = tmp_path / "docker"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"credsStore": "not-there"}))
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))


@pytest.fixture
def name() -> Iterator[str]:
    found = f"kollalab-itest/logins:{secrets.token_hex(4)}"
    yield found
    client = docker.from_env()
    if client.images.list(found):
        client.images.remove(found)


@pytest.mark.usefixtures("no_helper")
def test_our_own_builds_ask_no_helper(name: str, registry_image: str, tmp_path: Path) -> None:
    folder = tmp_path / "override"
    folder.mkdir()
    (folder / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nLABEL made=here\n")
    mirror.build_on(daemon.connect(), registry_image, folder, name, tmp_path / "log")
    assert docker.from_env().images.get(name).labels["made"] == "here"


@pytest.mark.usefixtures("no_helper")
def test_builds_of_a_child_ask_no_helper(name: str, tmp_path: Path) -> None:
    which = daemon.resolve()
    argv = [sys.executable, "-c", BUILD, name]
    # What a child with the user's own configuration says.
    with pytest.raises(CommandError, match="exit code 1") as caught:
        run(argv, env=which.environment())
    assert "docker-credential-not-there" in caught.value.details
    run(argv, env=which.environment() | daemon.without_logins(tmp_path / "ours"))
    assert docker.from_env().images.get(name).labels["made"] == "here"
