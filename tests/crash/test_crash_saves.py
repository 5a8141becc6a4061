"""The process is killed while it saves docker nodes and brings them back; nothing is lost."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from pytest_kollalab.system.crash_points import VARIABLE
from pytest_kollalab.system.wait import until
from tests.crash import clone
from tests.crash.census import Trail, take
from tests.crash.table import Table
from tests.crash.tools import KOLLALAB, execute

LAB = "crash-saves"
UP = ("up", "--until", "nodes", "--feature", "sfc")
NODES = ("controller-1", "compute-1")

# The point, the verb that is killed there, and the saved states that are left afterwards.
SAVING: tuple[tuple[str, str, list[str]], ...] = (
    ("saves:save-begun", "save", ["first"]),
    ("saves:volume-made", "save", ["first"]),
    ("saves:paused", "save", ["first"]),
    ("saves:copying", "save", ["first"]),
    ("saves:copied", "save", ["first"]),
    ("saves:saved-one", "save", ["first"]),
    ("saves:saved", "save", ["first"]),
    ("saves:recorded", "save", ["first"]),
    ("saves:rollback-begun", "rollback", ["first"]),
    ("saves:node-removed", "rollback", ["first"]),
    ("saves:nodes-removed", "rollback", ["first"]),
    ("saves:node-made", "rollback", ["first"]),
    ("saves:copying", "rollback", ["first"]),
    ("saves:restored-files", "rollback", ["first"]),
    ("saves:restored-one", "rollback", ["first"]),
    ("saves:restored", "rollback", ["first"]),
    ("saves:restored-records", "rollback", ["first"]),
    ("saves:clear-begun", "clear", []),
    ("saves:cleared-one", "clear", []),
)
# Seen with a cloud only: tests/unit/test_goldens.py has them without.
WITH_CLOUD = ("golden:written", "golden:kept", "golden:connected", "golden:nodes-recorded")
CLONING = ("clone:kept", "clone:volumes-made", "clone:copied", "clone:made")
POINTS = {row[0] for row in SAVING} | set(WITH_CLOUD) | set(CLONING)


class Lab:
    """A lab of two nodes, by the command line, with a state of its own."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.output = folder / "output"
        self.trail = Trail(f"kollalab.lab={LAB}", (self.state / "labs" / LAB, self.state / "runs"))

    def run(self, *words: str, crash_at: str = "") -> int:
        environment = {**os.environ, "KOLLALAB_STATE": str(self.state), VARIABLE: crash_at}
        code, pid = execute(
            [KOLLALAB, words[0], "--name", LAB, *words[1:]], environment, self.output
        )
        self.trail.pids.append(pid)
        return code

    def said(self) -> str:
        return self.output.read_text()

    def on_both(self, script: str) -> list[str]:
        found = []
        for node in NODES:
            assert self.run("ssh", node, script) == 0, self.said()
            found.append(self.said().strip())
        return found

    def states(self) -> list[str]:
        """The saved states that are whole, by name; docker has those and no other."""
        assert self.run("show") == 0
        lines = [line.split() for line in self.said().splitlines() if line.startswith("  saved")]
        api = docker.from_env().api
        only = {"label": [f"kollalab.lab={LAB}", "kollalab.save"]}
        volumes = [each["Labels"]["kollalab.save"] for each in api.volumes(filters=only)["Volumes"]]
        images = api.images(filters=only)
        names = [name for each in images for name in each["RepoTags"] or () if "<none>" not in name]
        assert len(names) == len(NODES) * len(lines)
        assert sorted(each.split(".")[0] for each in volumes) == sorted(line[1] for line in lines)
        return [line[1] for line in lines]


@pytest.fixture(scope="module")
def lab(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    found = Lab(tmp_path_factory.mktemp("crash"))
    assert found.run(*UP) == 0
    yield found
    assert found.run("down", "--discard-saved") == 0
    after = take(found.trail)
    assert not any(after.values()), after


@pytest.mark.parametrize(
    ("point", "verb", "left"), SAVING, ids=[f"{row[0]}-{row[1]}" for row in SAVING]
)
def test_a_kill_while_nodes_are_saved_or_brought_back(
    lab: Lab, table: Table, point: str, verb: str, left: list[str]
) -> None:
    started = time.monotonic()
    lab.on_both("rm -f /root/later /var/lib/docker/volumes/later")
    if "first" not in lab.states():
        assert lab.run("save", "first") == 0
    before = take(lab.trail)
    lab.on_both("touch /root/later /var/lib/docker/volumes/later")
    name = "second" if verb == "save" else "first"
    assert lab.run(verb, name, crash_at=point) == -signal.SIGKILL, f"{point} was not reached"
    killed = take(lab.trail)
    # Any verb that changes the lab mends it first; this one has nothing to do besides.
    assert lab.run(*UP) == 0
    assert "repaired" in lab.said()
    assert lab.states() == left
    count = "ls -d /root/later /var/lib/docker/volumes/later 2>/dev/null | wc -l"
    assert lab.on_both(count) == ["0" if verb == "rollback" else "2"] * 2
    assert lab.on_both("systemctl is-system-running") == ["running"] * 2

    def rest() -> bool | None:
        # What throws away the former files ends by itself.
        return take(lab.trail)["containers"] == before["containers"] or None

    until("only nodes and registry are left", rest, timeout=30)
    # Nodes run, and their processes and the lab's logs are more or fewer at any time.
    after = {
        kind: 0 if kind in ("processes", "files") else max(0, count - before[kind])
        for kind, count in take(lab.trail).items()
    }
    table.add(f"{point} ({verb})", killed, "the next run", after, time.monotonic() - started)
    assert not any(after.values()), after


@pytest.mark.parametrize("point", CLONING)
def test_a_kill_while_nodes_are_cloned(lab: Lab, table: Table, point: str) -> None:
    started = time.monotonic()
    if "first" not in lab.states():
        assert lab.run("save", "first") == 0
    folders = (lab.state / "labs" / clone.CLONE, lab.state / "runs")
    trail = Trail(f"kollalab.lab={clone.CLONE}", folders)

    def run(verb: str, crash_at: str = "") -> int:
        argv = [sys.executable, "-m", "tests.crash.clone", str(lab.state), LAB, verb]
        code, pid = execute(argv, {**os.environ, VARIABLE: crash_at}, lab.output)
        trail.pids.append(pid)
        return code

    assert run("build", point) == -signal.SIGKILL, f"{point} was not reached"
    killed = take(trail)
    # The next run makes it anew; what it is made from is not touched.
    assert run("build") == 0, lab.said()
    assert lab.states() == ["first"]
    assert run("destroy") == 0, lab.said()
    after = take(trail)
    table.add(f"{point} (clone)", killed, "the next run", after, time.monotonic() - started)
    assert not any(after.values()), after
