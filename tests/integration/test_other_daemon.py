"""Nodes on another docker daemon, known by its context: a second one that runs on this host."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.engine.records import READY, Record, save
from pytest_kollalab.lab.gc import labs
from pytest_kollalab.providers.base import NODES
from pytest_kollalab.providers.docker import whose
from pytest_kollalab.providers.docker.host import DockerHost
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.providers.docker.spec import resource_name
from pytest_kollalab.stages.nodes import await_nodes
from pytest_kollalab.system import daemon
from pytest_kollalab.system.daemon import Daemon
from pytest_kollalab.system.errors import HostError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.run import run
from pytest_kollalab.system.ssh import Ssh, close
from tests import made
from tests.integration.conftest import Loopback
from tests.integration.docker_lab import Built, left
from tests.other_daemon import OtherDaemon

pytestmark = pytest.mark.xdist_group("docker-nodes")
LAB = f"itest-other-{secrets.token_hex(2)}"
CONTEXT = "other"


@pytest.fixture(scope="module")
def other() -> Iterator[docker.DockerClient]:
    """A daemon with nothing in it, known by its context."""
    with tempfile.TemporaryDirectory(prefix="kl-") as name, pytest.MonkeyPatch.context() as patch:
        made = OtherDaemon(Path(name))
        patch.setenv("DOCKER_CONFIG", f"{name}/config")
        argv = ["docker", "context", "create", CONTEXT, "--docker", f"host={made.uri}"]
        subprocess.run(argv, check=True, capture_output=True)
        try:
            made.start()
            yield daemon.connect(uri=CONTEXT)
        finally:
            made.remove()


@pytest.fixture(scope="module")
def nodes(
    other: docker.DockerClient, registry_image: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Built]:
    built = Built(tmp_path_factory.mktemp("nodes"), LAB, CONTEXT)
    store = built.folder / "store"
    store.mkdir()
    built.images = made.images(registry_image=registry_image, registry_root=store)
    built.create()
    yield built
    built.destroy()
    assert left(LAB) == left(LAB, other) == []


def test_nodes_are_there_and_the_registry_here(nodes: Built, other: docker.DockerClient) -> None:
    assert left(LAB) == [resource_name(LAB, "registry")]
    there = left(LAB, other)
    assert {resource_name(LAB, node) for node in NODES} <= set(there)
    assert resource_name(LAB, "registry") not in there
    assert nodes.provider.gone(LAB, nodes.made) is None
    for node in NODES:
        assert nodes.run(node, "hostname") == node
    # The registry has answered before create() returned: a node was asked to reach it.
    assert nodes.made.registry.startswith(nodes.made.networks["provisioning"].gateway)


def test_what_is_saved_there_comes_back(nodes: Built) -> None:
    for node in NODES:
        nodes.run(node, "echo saved > /root/file")
    nodes.provider.saving.save(LAB, "first")
    for node in NODES:
        nodes.run(node, "echo later > /root/file")
    nodes.provider.saving.restore(LAB, "first")
    ssh = Ssh(nodes.made.ssh_config)
    close(ssh.config)
    await_nodes(nodes.provider, LAB, NODES, ssh, nodes.made.registry, nodes.folder / "log")
    for node in NODES:
        assert nodes.run(node, "cat /root/file") == "saved"
    nodes.provider.saving.clear(LAB, "first")
    assert nodes.provider.saving.saved(LAB) == []


def test_a_registry_that_was_killed_is_started_again(nodes: Built) -> None:
    docker.from_env().containers.get(resource_name(LAB, "registry")).kill()
    # 128 and the number of SIGKILL.
    reason = "registry ended with exit code 137"
    assert nodes.provider.stopped(LAB, "registry") == reason
    assert nodes.provider.halted(LAB, nodes.made) == ["registry"]
    nodes.provider.start(nodes.work().tag, nodes.made, nodes.images.registry)
    assert nodes.provider.halted(LAB, nodes.made) == []


def test_what_a_lab_without_records_left_there_is_found(
    nodes: Built, other: docker.DockerClient, tmp_path: Path
) -> None:
    # The harness writes no records.
    here = Paths(cache=tmp_path, state=nodes.folder)
    ownership = Ownership(nodes.folder)
    (found,) = (each for each in labs.leftovers(other, here, ownership) if each.what == LAB)
    assert "2 containers, 4 networks, 2 volumes" in found.why


# As kolla-build finds its daemon (kolla 22, `engine_adapter/engine.py`).
KOLLA = """
import docker
print(docker.DockerClient(version="auto", **docker.utils.kwargs_from_env()).info()["DockerRootDir"])
"""


@pytest.mark.parametrize("how", ["DOCKER_CONTEXT", "docker context use", "DOCKER_HOST"])
def test_all_that_asks_for_docker_gets_the_same(
    other: docker.DockerClient, how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = daemon.resolve(CONTEXT).url
    if how == "DOCKER_CONTEXT":
        monkeypatch.setenv("DOCKER_CONTEXT", CONTEXT)
    elif how == "DOCKER_HOST":
        monkeypatch.setenv("DOCKER_HOST", there)
    else:
        shutil.copytree(os.environ["DOCKER_CONFIG"], tmp_path / "config")
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "config"))
        run(["docker", "context", "use", CONTEXT])
    which = daemon.resolve()
    assert which.url == there
    assert how in str(which)
    # All daemons of a host may have one identity.
    found = {
        "SDK": daemon.connect().info()["DockerRootDir"],
        "command line": which.run(["info", "--format", "{{.DockerRootDir}}"]).stdout.strip(),
        "kolla-build": run(
            [sys.executable, "-c", KOLLA], env=which.environment() | daemon.without_logins(tmp_path)
        ).stdout.strip(),
    }
    assert set(found.values()) == {other.info()["DockerRootDir"]}, found
    # It runs beside the host's own: the same folders, and networks that are here.
    assert whose.problems(tmp_path / "cache" / "not there yet") == []


def test_a_lab_is_not_taken_for_gone_because_another_docker_is_asked(
    other: docker.DockerClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = whose.identity(docker.from_env(), Daemon(daemon.SOCKET))
    made_here = made.nodes(provider="docker", extra={"docker": here})
    record = Record("nodes", "k", "r", READY, inputs={}, made=made_here.to_json())
    paths = Paths(cache=tmp_path, state=tmp_path)
    save(paths.lab(LAB) / "nodes.json", record)

    def provider() -> DockerProvider:
        return DockerProvider("", "", paths)

    assert provider().gone(LAB, made_here) == "controller-1 is not there"
    # Another way to the same one.
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    assert provider().gone(LAB, made_here) == "controller-1 is not there"
    provider().destroy(LAB)

    monkeypatch.setenv("DOCKER_CONTEXT", CONTEXT)
    monkeypatch.delenv("DOCKER_HOST")
    with pytest.raises(HostError, match="is on another docker") as caught:
        provider().gone(LAB, made_here)
    assert f"context {CONTEXT} of DOCKER_CONTEXT" in caught.value.details
    assert f"DOCKER_HOST={daemon.SOCKET}" in caught.value.hint
    with pytest.raises(HostError, match="is on another docker"):
        provider().destroy(LAB)


def test_a_daemon_is_reached_over_ssh(loopback: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both docker and the tunnel call the `ssh` that is found first.
    monkeypatch.setenv("PATH", f"{loopback.client.parent}:{os.environ['PATH']}")
    host = DockerHost(f"ssh://root@127.0.0.1:{loopback.port}")
    assert host.client.info()["ID"] == docker.from_env().info()["ID"]
    said = host.daemon.run(["info", "--format", "{{.ID}}"]).stdout
    assert said.strip() == docker.from_env().info()["ID"]
