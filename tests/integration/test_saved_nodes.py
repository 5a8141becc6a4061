"""Saved states of docker nodes: all files of all nodes come back, and nothing is left of them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import docker
import pytest

from pytest_kollalab.engine import records
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.providers.base import NODES
from pytest_kollalab.providers.docker import spec
from pytest_kollalab.stages.nodes import await_nodes
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.ssh import Ssh, close
from pytest_kollalab.system.wait import NotYet, until
from tests.integration.docker_lab import Built, left

pytestmark = pytest.mark.xdist_group("docker-nodes")
LAB = f"itest-saves-{secrets.token_hex(2)}"
# An image of the node's own shell, and a container of it with a volume and files of its own.
PLANT = """
cd / && tar -ch bin/dash bin/sleep bin/cat lib64/ld-linux-x86-64.so.2 \
    lib/x86_64-linux-gnu/libc.so.6 | docker import - local/tiny > /dev/null
docker run -d --name keeper --network none --restart always -v data:/data local/tiny \
    /bin/dash -c 'while :; do /bin/sleep 1; done' > /dev/null
docker exec keeper /bin/dash -c 'echo saved > /own; echo saved > /data/file'
echo saved | tee /root/file > /etc/file
mkdir /root/gone && ln -s nowhere /root/gone/link
"""
WRECK = """
docker exec keeper /bin/dash -c 'echo later > /own; echo later > /data/file'
echo later | tee /root/file /etc/later > /etc/file
rm -r /root/gone /var/lib/dpkg
"""
TELL = """
cat /root/file /etc/file /var/lib/docker/volumes/data/_data/file
docker exec keeper /bin/cat /own
readlink /root/gone/link; ls /etc/later 2> /dev/null; ls -d /var/lib/dpkg
"""
SAVED = "saved\nsaved\nsaved\nsaved\nnowhere\n/var/lib/dpkg"


def back(nodes: Built) -> None:
    """Return when nodes and what runs in them are there again."""
    ssh = Ssh(nodes.made.ssh_config)
    close(ssh.config)
    await_nodes(nodes.provider, LAB, NODES, ssh, "", nodes.folder / "nodes.log")
    for node in NODES:

        def runs(node: str = node) -> bool | NotYet:
            said = nodes.run(node, "docker inspect --format '{{.State.Status}}' keeper")
            return True if said == "running" else NotYet(said)

        until(f"keeper runs on {node}", runs, timeout=30, interval=0.2)


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    built = Built(tmp_path_factory.mktemp("nodes"), LAB)
    built.create()
    for node in NODES:
        built.run(node, PLANT)
    built.provider.saving.save(LAB, "first")
    yield built
    built.destroy()
    assert left(LAB) == []


def containers() -> list[str]:
    only: Any = {"label": f"kollalab.lab={LAB}"}
    found = docker.from_env().containers.list(all=True, filters=only, ignore_removed=True)
    return sorted(str(each.name) for each in found)


def started() -> dict[str, str]:
    """When each container started last."""
    client = docker.from_env()
    return {name: client.api.inspect_container(name)["State"]["StartedAt"] for name in containers()}


def test_a_save_lets_what_runs_go_on(nodes: Built) -> None:
    before = {node: nodes.run(node, "docker inspect -f '{{.State.Pid}}' keeper") for node in NODES}
    size = nodes.provider.saving.save(LAB, "second")
    # What changes, and not the image of the keeper or of the node.
    assert 0 < size < 20 * 2**20
    assert nodes.provider.saving.saved(LAB) == ["first", "second"]
    for node in NODES:
        assert nodes.run(node, "docker inspect -f '{{.State.Pid}}' keeper") == before[node]
    nodes.provider.saving.clear(LAB, "second")
    assert nodes.provider.saving.saved(LAB) == ["first"]


def test_both_nodes_come_back_as_they_were_saved_as_often_as_one_likes(nodes: Built) -> None:
    for wreck in (WRECK, "docker rm -f keeper; docker rmi local/tiny; docker volume rm data"):
        for node in NODES:
            nodes.run(node, wreck)
        nodes.provider.saving.restore(LAB, "first")
        back(nodes)
        assert nodes.provider.gone(LAB, nodes.made) is None
        for node in NODES:
            assert nodes.run(node, TELL) == SAVED
            address = nodes.made.nodes[node].management
            assert nodes.run(node, f"getent ahostsv4 {node} | cut -d' ' -f1 | sort -u") == address
    wanted = [spec.resource_name(LAB, node) for node in NODES]
    # What throws away what was there before ends by itself.
    until("only nodes are left", lambda: containers() == sorted(wanted) or None, timeout=30)


def test_containers_of_kolla_take_turns_on_nodes_that_were_brought_back(nodes: Built) -> None:
    unit = "kolla-mariadb-container.service"
    nodes.run(
        "compute-1", f"printf '[Service]\\nExecStart=/bin/true\\n' > /run/systemd/system/{unit}"
    )
    shown = nodes.run("compute-1", f"systemctl daemon-reload; systemctl show -p DropInPaths {unit}")
    assert shown == "DropInPaths=/etc/systemd/system/kolla-.service.d/turn.conf"
    # It waits for nobody, and the one that would does so no longer than a start takes.
    nodes.run("compute-1", f"systemctl start {unit} && rm /run/systemd/system/{unit}")


def test_layers_of_images_are_linked_and_what_changes_is_not(nodes: Built) -> None:
    count = "stat -c %h {}"
    layer = "$(ls -d /var/lib/docker/overlay2/*/diff/bin/dash | head -n 1)"
    assert int(nodes.run("compute-1", count.format(layer))) >= 2
    own = "$(ls -d /var/lib/docker/overlay2/*/diff/own)"
    assert nodes.run("compute-1", count.format(own)) == "1"
    assert nodes.run("compute-1", count.format("/var/lib/docker/volumes/data/_data/file")) == "1"


def test_a_state_may_be_saved_from_nodes_that_were_brought_back(nodes: Built) -> None:
    nodes.run("compute-1", "echo third > /root/third")
    nodes.provider.saving.save(LAB, "third")
    nodes.provider.saving.restore(LAB, "first")
    back(nodes)
    assert nodes.run("compute-1", "ls /root") == "file\ngone"
    nodes.provider.saving.restore(LAB, "third")
    back(nodes)
    assert nodes.run("compute-1", "cat /root/third") == "third"
    # Nodes run on what is forgotten.
    nodes.provider.saving.clear(LAB, "third")
    assert nodes.run("compute-1", "cat /root/third") == "third"
    assert nodes.provider.saving.saved(LAB) == ["first"]


def test_a_state_of_which_a_part_is_gone_changes_nothing(nodes: Built) -> None:
    nodes.provider.saving.save(LAB, "half")
    image = f"kollalab/saved:{LAB}-compute-1-half"
    docker.from_env().images.remove(image)
    before = started()
    assert nodes.provider.saving.saved(LAB) == ["first"]
    with pytest.raises(StageError, match="no saved state half") as caught:
        nodes.provider.saving.restore(LAB, "half")
    assert "nothing has been changed" in caught.value.details
    assert started() == before != {}
    nodes.provider.saving.clear(LAB, "half")


def test_nodes_that_do_not_run_are_not_saved(nodes: Built) -> None:
    client = docker.from_env()
    container = client.containers.get(spec.resource_name(LAB, "compute-1"))
    container.kill()
    with pytest.raises(StageError, match=r"compute-1 of lab .* cannot be saved"):
        nodes.provider.saving.save(LAB, "never")
    assert nodes.provider.saving.saved(LAB) == ["first"]
    nodes.provider.saving.restore(LAB, "first")
    back(nodes)


def test_a_clone_is_elsewhere_and_depends_on_nothing_of_the_first(
    nodes: Built, tmp_path: Path
) -> None:
    config = "/etc/kolla/service/service.conf"
    for node in NODES:
        listen = nodes.made.nodes[node].management
        nodes.run(
            node,
            f"mkdir -p /etc/kolla/service && echo listen={listen} > {config} && "
            f"chmod 640 {config} && chown 42400 {config}",
        )
    nodes.provider.saving.save(LAB, "golden.1")
    (tmp_path / "golden" / "cloud" / "etc").mkdir(parents=True)
    (tmp_path / "golden" / "cloud" / "etc" / "passwords.yml").write_text("database_password: x\n")
    records.save(tmp_path / "golden" / "cloud.json", Record("cloud", "k", "r", READY, inputs={}))
    source = CloneSource(LAB, "golden.1", nodes.made, tmp_path / "golden", (), nullcontext)
    # Two labs of one session are of one run and one state: each is to reach its own nodes.
    other = Built(nodes.folder, f"{LAB}-2", run_id=nodes.run_id)
    other.stage.source = lambda: source
    try:
        other.create()
        # What it was made from may go.
        nodes.provider.saving.clear(LAB, "golden.1")
        assert other.made.clone is not None
        assert set(other.made.clone.moves) >= {
            each.cidr.removesuffix("0/24") for each in nodes.made.networks.values()
        }
        for node in NODES:
            address = other.made.nodes[node].management
            assert address != nodes.made.nodes[node].management
            assert other.run(node, f"cat {config}") == f"listen={address}"
            assert other.run(node, f"stat -c '%a %u' {config}") == "640 42400"
            assert other.run(node, f"getent ahostsv4 {node} | cut -d' ' -f1 | sort -u") == address
            assert other.run(node, TELL) == SAVED
            assert nodes.run(node, f"cat {config}") != f"listen={address}"
        until("compute-1 has moved", partial(moved, other, "compute-1"), timeout=30)
        # The controller's database is told when it is there.
        script = "stat -c '%a %n' /etc/kollalab/moved/*.mariadb"
        assert other.run("controller-1", script).startswith("600 ")
    finally:
        other.destroy()
    assert left(f"{LAB}-2") == []


def moved(nodes: Built, node: str) -> bool | NotYet:
    said = nodes.run(node, "ls -d /etc/kollalab/moved 2> /dev/null || echo gone")
    return True if said == "gone" else NotYet(said)
