"""The real process is killed at each point of every stage and of removal; nothing stays."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config
from pytest_kollalab.system.crash_points import VARIABLE
from tests.crash import test_crash_golden as golden
from tests.crash import test_crash_machines as machines
from tests.crash import test_crash_saves as saves
from tests.crash.census import Trail, marked, take
from tests.crash.small import TINY
from tests.crash.table import Table
from tests.crash.tools import KOLLALAB, execute
from tests.upgrade import test_next_release as upgrade

ROOT = Path(__file__).parents[2]
LAB = "crash"

NODES = ("up", "--until", "nodes")
CLOUD = ("up", "--until", "cloud", "--feature", "sfc")
DOWN = ("down",)
GC = ("gc", "--yes", "--kind", "run", "--kind", "lab")

# The point, what is killed there, and what recovers from it.
POINTS = (
    ("record:written", NODES, GC, False),
    ("nodes:recorded", NODES, GC, False),
    ("nodes:key-made", NODES, DOWN, False),
    ("nodes:network-made", NODES, NODES, True),
    ("nodes:networks-made", NODES, GC, False),
    ("nodes:volume-made", NODES, DOWN, False),
    ("nodes:volume-filled", NODES, GC, False),
    ("nodes:container-made", NODES, NODES, True),
    ("nodes:container-connected", NODES, GC, False),
    ("nodes:container-started", NODES, GC, True),
    ("nodes:registry-made", NODES, NODES, False),
    ("nodes:provided", NODES, DOWN, False),
    ("nodes:configured", NODES, NODES, False),
    ("nodes:created", NODES, GC, True),
    ("cloud:recorded", CLOUD, GC, False),
    ("cloud:prechecks", CLOUD, DOWN, False),
    ("cloud:prechecks-running", CLOUD, GC, False),
    ("cloud:destroying", DOWN, DOWN, False),
    ("cloud:destroyed", DOWN, NODES, False),
    ("nodes:destroying", DOWN, GC, False),
    ("nodes:container-removed", DOWN, DOWN, True),
    ("nodes:containers-removed", DOWN, NODES, False),
    ("nodes:network-removed", DOWN, GC, True),
    ("nodes:destroyed", DOWN, DOWN, False),
    ("lab:destroyed", DOWN, GC, False),
)
# On a cache of their own: each run recovers from the one before it and is killed in its turn.
LADDER = (
    ("tools:recorded", "tools"),
    ("tools:venv-made", "tools"),
    ("tools:installing", "tools"),
    ("tools:created", "tools"),
    ("images:recorded", "images"),
    ("images:rendered", "images"),
    ("images:building", "images"),
    ("images:built", "images"),
    ("images:saved", "images"),
    ("images:pushing", "images"),
    ("images:created", "images"),
)


def test_every_point_of_the_code_is_in_the_table() -> None:
    text = "".join(path.read_text() for path in (ROOT / "pytest_kollalab").rglob("*.py"))
    named = set(re.findall(r'point\("([\w:-]+)"\)', text))
    elsewhere = golden.POINTS | machines.POINTS | saves.POINTS | upgrade.POINTS
    assert named <= {row[0] for row in (*POINTS, *LADDER)} | elsewhere
    assert len(POINTS) + len(LADDER) >= 20


class Host:
    """Runs the command line with a state of its own and the host's cache of images."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.trail = Trail(f"kollalab.lab={LAB}", (self.state / "labs" / LAB, self.state / "runs"))

    def run(self, *words: str, crash_at: str = "") -> int:
        environment = {**os.environ, "KOLLALAB_STATE": str(self.state), VARIABLE: crash_at}
        argv = [KOLLALAB, *words, *(() if words == GC else ("--name", LAB))]
        code, pid = execute(argv, environment, self.state.with_name("output"))
        self.trail.pids.append(pid)
        return code


@pytest.fixture(scope="module")
def host(images: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    found = Host(tmp_path_factory.mktemp("crash"))
    yield found
    found.run(*DOWN)


@pytest.mark.parametrize(
    ("point", "command", "recovery"),
    [
        pytest.param(point, command, recovery, id=point, marks=[pytest.mark.short] * short)
        for point, command, recovery, short in POINTS
    ],
)
def test_a_kill_at(
    host: Host, table: Table, point: str, command: tuple[str, ...], recovery: tuple[str, ...]
) -> None:
    started = time.monotonic()
    if command == DOWN:
        host.run(*NODES)
    assert host.run(*command, crash_at=point) == -signal.SIGKILL, f"{point} was not reached"
    killed = take(host.trail)
    assert host.run(*recovery) == 0
    if recovery == NODES:
        # The next run has what it asked for; then nothing is left but what went before.
        assert host.run(*DOWN) == 0
    after = take(host.trail)
    by = {NODES: "the next run", DOWN: "kollalab down", GC: "kollalab gc"}[recovery]
    table.add(point, killed, by, after, time.monotonic() - started)
    assert not any(after.values()), after


@dataclass
class Killed:
    """A run that was killed: what was left of it."""

    point: str
    trail: Trail
    left: dict[str, int]
    seconds: float


class Ladder:
    """Runs over one cache, each killed a little later than the one before."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        usual = releases.get(Config.release)
        shutil.copytree(usual.data, folder / "recipe")
        tiny = folder / "recipe" / "overlay" / "tiny" / "Dockerfile.j2"
        tiny.parent.mkdir(parents=True)
        tiny.write_text(TINY)
        self.last: Killed | None = None

    def run(self, stage: str, crash_at: str = "") -> tuple[int, Trail]:
        run = uuid.uuid4().hex[:8]
        small = Path(__file__).with_name("small.py")
        argv: list[str | Path] = [sys.executable, small, self.folder, run, stage]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), VARIABLE: crash_at}
        code, pid = execute(argv, environment, self.folder / "output")
        return code, Trail(f"kollalab.run={run}", (), [pid])

    def census(self, trail: Trail) -> dict[str, int]:
        counts = take(trail)
        roots = (self.folder / "cache", self.folder / "state")
        counts["files"] += len(marked(roots, trail.marks))
        return counts

    def settle(self, table: Table) -> None:
        """Count again what was left of the last run, now that another one has recovered."""
        if self.last is None:
            return
        last, self.last = self.last, None
        after = self.census(last.trail)
        table.add(last.point, last.left, "the next run", after, last.seconds)
        assert not any(after.values()), (last.point, after)


@pytest.fixture(scope="module")
def ladder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ladder]:
    made = Ladder(tmp_path_factory.mktemp("ladder"))
    yield made
    made.run("destroy")


@pytest.mark.parametrize(("point", "stage"), LADDER, ids=[row[0] for row in LADDER])
def test_a_kill_of_a_shared_stage_at(ladder: Ladder, table: Table, point: str, stage: str) -> None:
    started = time.monotonic()
    code, trail = ladder.run(stage, point)
    assert code == -signal.SIGKILL, f"{point} was not reached"
    left = ladder.census(trail)
    ladder.settle(table)
    ladder.last = Killed(point, trail, left, time.monotonic() - started)


def test_a_run_that_is_not_killed_comes_to_its_end(ladder: Ladder, table: Table) -> None:
    code, trail = ladder.run("images")
    assert code == 0
    ladder.settle(table)
    assert not any(ladder.census(trail).values())
