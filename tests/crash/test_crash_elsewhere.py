"""Runs in another PID namespace and two clients of one docker: none is taken for dead or ours."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from pytest_kollalab.cli.frame import EXIT_BUSY
from pytest_kollalab.system import identity
from pytest_kollalab.system.crash_points import VARIABLE
from tests.crash.census import Trail, take
from tests.crash.table import Table
from tests.crash.tools import KOLLALAB, TIMEOUT

pytestmark = pytest.mark.usefixtures("images")
LAB = "crash-elsewhere"
UP = ("up", "--until", "nodes", "--feature", "sfc", "--name", LAB)
DOWN = ("down", "--name", LAB)
GC = ("gc", "--yes", "--kind", "run", "--kind", "lab", "--kind", "leftover")
# The first process of a namespace cannot kill itself, so that one is a shell.
INSIDE = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c",
          'readlink /proc/self/ns/pid; "$@"; exit $?', "sh"]  # fmt: skip
# The state folder and the identity of the host are its own; their paths are those of all others.
MOUNT = 'mount --bind "$1" "$2"; mount --bind "$3" "$4"; shift 4; exec "$@"'
ANOTHER_HOST = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", MOUNT, "sh"]
KILLED = 128 + signal.SIGKILL


class Client:
    """The command line with a state of its own; `prefix` starts it somewhere else."""

    def __init__(self, state: Path, own: Path, prefix: list[str]) -> None:
        self.state, self.own, self.prefix = state, own, prefix
        self.output = own.with_name(f"{own.name}-output")
        self.trail = Trail(f"kollalab.lab={LAB}", (own / "labs" / LAB, own / "runs"))

    def start(self, *words: str, crash_at: str = "") -> subprocess.Popen[bytes]:
        environment = {**os.environ, "KOLLALAB_STATE": str(self.state), VARIABLE: crash_at}
        # Into a file and not a pipe: orphans would hold the other end.
        with self.output.open("w") as sink:
            argv = [*self.prefix, str(KOLLALAB), *words]
            running = subprocess.Popen(argv, env=environment, stdout=sink, stderr=subprocess.STDOUT)
        self.trail.pids.append(running.pid)
        return running

    def run(self, *words: str, crash_at: str = "") -> int:
        return self.start(*words, crash_at=crash_at).wait(TIMEOUT)

    def said(self) -> str:
        return self.output.read_text()


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Client]:
    """A client in the namespaces of this test."""
    found = Client(tmp_path / "state", tmp_path / "state", [])
    yield found
    found.run(*DOWN)


def inside(outside: Client) -> Client:
    """The same client in another namespace of PIDs, as in a container with the same folders."""
    return Client(outside.state, outside.own, INSIDE)


def nodes() -> dict[str, str]:
    """The containers of the lab that run."""
    only = {"label": [f"kollalab.lab={LAB}"]}
    found = docker.from_env().api.containers(filters=only)
    return {each["Names"][0]: each["Id"] for each in found}


def test_a_build_in_another_namespace_is_left_alone(outside: Client, table: Table) -> None:
    started = time.monotonic()
    there = inside(outside)
    there.output = outside.output.with_name("inside")
    building = there.start(*UP)
    looks = 0
    while building.poll() is None:
        assert outside.run(*GC) == 0, outside.said()
        assert str(outside.state) not in outside.said(), outside.said()
        assert LAB not in outside.said(), outside.said()
        looks += 1
        assert time.monotonic() < started + TIMEOUT
    assert building.returncode == 0, there.said()
    assert looks >= 2
    killed = take(outside.trail)
    assert outside.run(*DOWN) == 0, outside.said()
    after = take(outside.trail)
    seconds = time.monotonic() - started
    table.add(
        "a build in another PID namespace, not killed", killed, "kollalab down", after, seconds
    )
    assert not any(after.values()), after


@pytest.mark.parametrize("point", ["nodes:container-started", "nodes:configured"])
def test_a_kill_in_another_namespace(outside: Client, table: Table, point: str) -> None:
    started = time.monotonic()
    there = inside(outside)
    assert there.run(*UP, crash_at=point) == KILLED, there.said()
    outside.trail.spaces.append(space(there.said()))
    killed = take(outside.trail)
    assert outside.run(*GC) == 0, outside.said()
    after = take(outside.trail)
    seconds = time.monotonic() - started
    table.add(f"{point} (other PID namespace)", killed, "kollalab gc", after, seconds)
    assert not any(after.values()), after


def space(said: str) -> str:
    """The namespace that the shell inside has told, as marks name it."""
    number = said.partition("pid:[")[2].partition("]")[0]
    return f"{int(number):08x}"


@pytest.fixture
def laptops(tmp_path: Path) -> Iterator[list[Client]]:
    """Two hosts whose users have the same name, paths and labs, at one daemon."""
    state = tmp_path / "state"
    identity.SYSTEM.mkdir(parents=True, exist_ok=True)
    found = []
    for name in ("first", "second"):
        own, host = tmp_path / name, tmp_path / f"{name}-host"
        for folder in (state, own, host):
            folder.mkdir(exist_ok=True)
        mounts = [str(own), str(state), str(host), str(identity.SYSTEM)]
        found.append(Client(state, own, [*ANOTHER_HOST, *mounts]))
    yield found
    for client in found:
        client.run(*DOWN)


def test_the_lab_of_another_client_is_left_alone(laptops: list[Client], table: Table) -> None:
    started = time.monotonic()
    first, second = laptops
    assert first.run(*UP) == 0, first.said()
    there = nodes()
    for words in (UP, DOWN):
        assert second.run(*words) == EXIT_BUSY, second.said()
        assert "is not yours" in second.said()
    assert second.run(*GC, "--older-than", "0") == 0, second.said()
    assert LAB not in second.said()
    assert nodes() == there
    killed = take(first.trail)
    assert first.run("ssh", "--name", LAB, "controller-1", "hostname") == 0, first.said()
    assert first.run(*DOWN) == 0, first.said()
    after = take(first.trail)
    seconds = time.monotonic() - started
    table.add("up, down, gc of another client", killed, "its own kollalab down", after, seconds)
    assert not any(after.values()), after


def test_what_another_clients_killed_run_left_is_left_to_it(
    laptops: list[Client], table: Table
) -> None:
    started = time.monotonic()
    first, second = laptops
    point = "nodes:container-started"
    assert first.run(*UP, crash_at=point) == -signal.SIGKILL, first.said()
    killed = take(first.trail)
    assert second.run(*UP) == EXIT_BUSY, second.said()
    assert second.run(*GC, "--older-than", "0") == 0, second.said()
    kinds = ("containers", "networks", "volumes")
    assert [take(first.trail)[kind] for kind in kinds] == [killed[kind] for kind in kinds]
    assert first.run(*GC) == 0, first.said()
    after = take(first.trail)
    seconds = time.monotonic() - started
    table.add(f"{point} (two clients)", killed, "its own kollalab gc", after, seconds)
    assert not any(after.values()), after
    # The name is free again.
    assert second.run(*UP) == 0, second.said()
    assert second.run(*DOWN) == 0, second.said()
    assert not any(take(second.trail).values())
