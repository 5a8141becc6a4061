"""Which docker daemon is meant, where it is, and what another host is asked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.engine.records import READY, Record, save
from pytest_kollalab.providers.choice import choose, made_by, of_lab
from pytest_kollalab.providers.docker import whose
from pytest_kollalab.providers.docker.host import BREAK, DockerHost
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.providers.libvirt.provider import LibvirtProvider
from pytest_kollalab.settings.config import NodesConfig, Options
from pytest_kollalab.system import daemon
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import Paths

NO_SYS_RESOURCE = "Name:\tdockerd\nCapBnd:\t000001fffeffffff\n"
ROUTES = '[{"dst":"default"},{"dst":"10.64.0.0/24"}]'
LINKS = '[{"addr_info":[{"local":"192.168.7.2","prefixlen":24}]}]'


@pytest.mark.parametrize("uri", ["", "default"])
def test_without_a_word_the_environments_daemon_is_meant(uri: str) -> None:
    host = DockerHost(uri)
    assert (host.uri, host.remote, host.jump) == ("", None, "")


@pytest.mark.parametrize(
    ("uri", "destination", "jump"),
    [
        ("ssh://me@192.0.2.7:2222", "me@192.0.2.7", "ssh -p 2222 -o BatchMode=yes me@192.0.2.7"),
        ("ssh://192.0.2.7", "192.0.2.7", "ssh -o BatchMode=yes 192.0.2.7"),
        ("tcp://192.0.2.7:2376", "192.0.2.7", ""),
    ],
)
def test_nodes_elsewhere_are_reached_as_their_docker_is(
    uri: str, destination: str, jump: str
) -> None:
    host = DockerHost(uri)
    assert host.remote is not None
    assert host.remote.destination == destination
    assert host.jump == (f"{jump} -W %h:%p" if jump else "")
    assert host.daemon.url == uri


@pytest.mark.parametrize("uri", ["unix:///run/other.sock", "ssh://root@127.0.0.1"])
def test_another_daemon_of_this_host_is_no_other_host(uri: str) -> None:
    assert DockerHost(uri).remote is None


def test_a_uri_of_libvirt_is_no_endpoint_of_docker() -> None:
    with pytest.raises(ConfigError, match="is not an endpoint of docker") as caught:
        daemon.endpoint("qemu+ssh://other/system")
    assert 'provider = "libvirt"' in caught.value.hint


@pytest.mark.skipif(shutil.which("docker") is None, reason="docker is not installed")
def test_a_context_is_an_endpoint_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    create = ["docker", "context", "create", "other", "--docker", "host=tcp://192.0.2.7:2375"]
    subprocess.run(create, check=True, capture_output=True)
    assert daemon.endpoint("other") == "tcp://192.0.2.7:2375"
    assert DockerHost("other").daemon.url == "tcp://192.0.2.7:2375"
    with pytest.raises(ConfigError, match="docker has no context 'mars'"):
        daemon.endpoint("mars")


# What podman 5.4.2 and docker 26.1.5 answer to `GET /version`.
PARTS = {
    "podman": {"Podman Engine": "5.4.2", "Conmon": "conmon version 2.1.12", "Engine": "5.4.2"},
    "docker": {"Engine": "26.1.5+dfsg1", "containerd": "1.7.24~ds1", "runc": "1.1.15+ds1"},
}


def test_podman_is_not_taken_for_docker() -> None:
    which = daemon.Daemon("unix:///run/podman/podman.sock", "DOCKER_HOST")
    found = {}
    for name, parts in PARTS.items():
        told = {"Components": [{"Name": part, "Version": v} for part, v in parts.items()]}
        client: Any = SimpleNamespace(version=lambda told=told: told)
        found[name] = [*whose.engine(client, which)]
    assert found["docker"] == []
    (problem,) = found["podman"]
    assert "podman 5.4.2 answers at unix:///run/podman/podman.sock (DOCKER_HOST)" in problem.what
    assert "Docker Engine" in problem.fix


class Daemon:
    """A daemon on another host, with or without a node image."""

    def __init__(self, *images: str) -> None:
        self.api = SimpleNamespace(images=lambda **_: list(images), networks=list)
        self.containers = self
        self.asked: list[Any] = []

    def run(self, *words: Any, **options: Any) -> bytes:
        self.asked.append((words, options))
        return BREAK.join([NO_SYS_RESOURCE, ROUTES, LINKS]).encode()


def test_another_host_is_looked_at_once_it_has_a_node_image() -> None:
    host = DockerHost("tcp://192.0.2.7:2376")
    host.__dict__["client"] = bare = Daemon()
    assert host.missing_capabilities() == ()
    assert bare.asked == []
    host.__dict__["client"] = there = Daemon("sha256:1")
    assert host.missing_capabilities() == ("SYS_RESOURCE",)
    assert {"10.64.0.0/24", "192.168.7.0/24"} <= {str(each) for each in host.in_use()}
    ((words, options),) = there.asked
    assert words[0] == "sha256:1"
    assert options["pid_mode"] == options["network_mode"] == "host"


def test_nodes_elsewhere_are_other_nodes(paths: Paths) -> None:
    here = choose(Options(provider="docker"), paths)
    named = choose(Options(provider="docker", provider_uri="default"), paths)
    there = choose(Options(provider="docker", provider_uri="tcp://192.0.2.7:2376"), paths)
    nodes = NodesConfig()
    assert here.inputs(nodes) == named.inputs(nodes)
    assert there.inputs(nodes) == {**here.inputs(nodes), "uri": "tcp://192.0.2.7:2376"}
    assert here.cloning is not None
    assert named.cloning is not None
    assert there.cloning is None
    assert there.saving is not None


def test_a_lab_is_looked_for_where_it_was_made(paths: Paths) -> None:
    folder = paths.lab("lab-2")
    inputs = {"provider": "libvirt", "uri": "qemu+ssh://other/system"}
    save(folder / "nodes.json", Record("nodes", "key", "run", READY, inputs, made={}))
    hosts = ("qemu:///system", "qemu+ssh://other/system")
    found = of_lab(folder, Options(provider="libvirt", hosts=hosts), paths)
    assert isinstance(found, LibvirtProvider)
    assert found.host.uri == "qemu+ssh://other/system"
    # In a session each lab has its host, whatever its record says.
    here = Options(provider="libvirt", hosts=hosts, provider_uri="qemu:///system")
    other = of_lab(folder, here, paths)
    assert isinstance(other, LibvirtProvider)
    assert other.host.uri == "qemu:///system"


def test_what_is_not_named_in_the_record_is_here(paths: Paths) -> None:
    asked = Options(provider="libvirt", provider_uri="qemu+ssh://other/system")
    found = made_by({"provider": "docker"}, asked, paths)
    assert isinstance(found, DockerProvider)
    assert found.host.uri == ""
