"""Leftovers for real: networks and volumes that carry the tag of a lab without records."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.engine import owners, records
from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.system.paths import Paths


@pytest.fixture
def client() -> docker.DockerClient:
    return docker.from_env()


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    monkeypatch.setenv("KOLLALAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KOLLALAB_STATE", str(tmp_path / "state"))
    return Paths(cache=tmp_path / "cache", state=tmp_path / "state")


@pytest.fixture
def lab(client: docker.DockerClient, paths: Paths) -> Iterator[str]:
    """A volume and a network of a lab, as a run that was killed leaves them."""
    name = f"gc{uuid.uuid4().hex[:6]}"
    labels = owners.tag(name, "nodes", "key", "run", paths.state).labels()
    volume = client.volumes.create(f"kollalab-{name}-volume", labels=labels)
    network = client.networks.create(f"kollalab-{name}-network", labels=labels, internal=True)
    yield name
    for each in (volume, network):
        try:
            each.remove()
        except docker.errors.NotFound:
            continue


def leftovers(client: docker.DockerClient, lab: str) -> int:
    only = {"label": f"kollalab.lab={lab}"}
    return len(client.volumes.list(filters=only)) + len(client.networks.list(filters=only))


def listed(*arguments: str) -> dict[str, str]:
    result = CliRunner().invoke(main, ["gc", "--kind", "leftover", "--json", *arguments])
    assert result.exit_code == 0, result.output
    return {each["what"]: each["why"] for each in json.loads(result.output)["items"]}


def test_leftovers_are_listed_and_nothing_happens_to_them(
    client: docker.DockerClient, lab: str
) -> None:
    assert listed()[lab] == f"1 network, 1 volume; lab {lab} does not exist"
    assert leftovers(client, lab) == 2


def test_what_has_records_is_nobodys_leftover(
    client: docker.DockerClient, lab: str, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Record("nodes", "key", "run", READY, inputs={})
    records.save(paths.lab(lab) / "nodes.json", record)
    assert lab not in listed()
    # Nor for somebody with another state folder, as long as there is this one.
    monkeypatch.setenv("KOLLALAB_STATE", str(paths.state.with_name("other")))
    assert lab not in listed("--older-than", "0")
    shutil.rmtree(paths.state)
    assert lab not in listed()
    assert listed("--older-than", "0")[lab] == f"1 network, 1 volume; lab {lab} does not exist"


def test_leftovers_go(client: docker.DockerClient, lab: str, paths: Paths) -> None:
    from pytest_kollalab.lab.gc import labs

    # Not through the command, which would take the leftovers of everybody on this host.
    (item,) = (
        each for each in labs.leftovers(client, paths, Ownership(paths.state)) if each.what == lab
    )
    item.remove()
    assert leftovers(client, lab) == 0
    item.remove()
