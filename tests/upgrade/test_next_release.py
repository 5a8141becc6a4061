"""One real lab goes from the oldest release to the next: killed on the way, taken back, finished.

The tests are the chapters of one story, in this order.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pytest_kollalab.releases import releases
from pytest_kollalab.system.crash_points import VARIABLE
from tests import host_state
from tests.crash.census import Trail, take
from tests.crash.tools import KOLLALAB
from tests.host_state import State

LAB = "upgrade"
SOURCE, TO = list(releases.RELEASES)[:2]
BEFORE = f"before-{TO.replace('.', '-')}"
TIMEOUT = 3600.0
# In the order in which an upgrade comes to them, and what then takes the lab out of it. An upgrade
# that goes on does so from each of them, so the last one alone is killed before it does.
KILLED = (
    ("upgrade:begun", "rollback"),
    ("upgrade:pulled", "rollback"),
    ("cloud:upgrade-network", "upgrade"),
)
POINTS = {point for point, _ in KILLED}
MARK = "made-before"
TESTS = f"""\
def names(cloud):
    return [network.name for network in cloud.network.networks()]


def test_mark(openstack_cloud):
    openstack_cloud.network.create_network(name="{MARK}")


def test_there(openstack_cloud):
    assert "{MARK}" in names(openstack_cloud)


def test_traffic(tenant, sfc):
    network = tenant.network(dhcp=False)
    source, target, function = tenant.probe(network), tenant.probe(network), sfc.function(network)
    with sfc.chain(source, target, through=[function]):
        assert sfc.path(source, target) == [function]
"""


class Story:
    """A lab under the command line, with a state folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.trail = Trail(f"kollalab.lab={LAB}", (self.state / "labs" / LAB,))
        self.logs = 0
        (folder / "test_lab.py").write_text(TESTS)
        (folder / "kollalab.toml").write_text('features = ["sfc"]\n')

    def kollalab(self, verb: str, *words: str, crash_at: str = "") -> tuple[int, str]:
        """The exit code of a verb, and what it said."""
        return self._run([KOLLALAB, verb, "--name", LAB, *words], {VARIABLE: crash_at})

    def done(self, verb: str, *words: str) -> str:
        code, said = self.kollalab(verb, *words)
        assert code == 0, said[-8000:]
        return said

    def session(self, release: str, *words: str) -> str:
        own = ("--kollalab-name", LAB, "--kollalab-keep", "always", "--kollalab-release", release)
        argv: list[str | Path] = [
            KOLLALAB.with_name("pytest"),
            "-q",
            "-p",
            "no:cacheprovider",
            *own,
            *words,
        ]
        code, said = self._run(argv, {})
        assert code == 0, said[-8000:]
        return said

    def record(self, stage: str) -> Mapping[str, object]:
        path = self.state / "labs" / LAB / f"{stage}.json"
        found: Mapping[str, object] = json.loads(path.read_text())
        return found

    def _run(self, argv: list[str | Path], more: Mapping[str, str]) -> tuple[int, str]:
        self.logs += 1
        log = self.folder / f"{self.logs:02}.log"
        environment = {**os.environ, "KOLLALAB_STATE": str(self.state), **more}
        with log.open("wb") as sink:
            process = subprocess.Popen(
                argv, cwd=self.folder, env=environment, stdout=sink, stderr=subprocess.STDOUT
            )
            self.trail.pids.append(process.pid)
            code = process.wait(TIMEOUT)
        return code, log.read_text(errors="replace")


@pytest.fixture(scope="module")
def before() -> State:
    return host_state.look(LAB)


@pytest.fixture(scope="module")
def story(before: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    made = Story(tmp_path_factory.mktemp("upgrade"))
    yield made
    made.kollalab("down", "--discard-saved")


def test_a_lab_of_the_older_release(story: Story) -> None:
    story.done("up", "--release", SOURCE)
    story.session(SOURCE, "-k", "mark or traffic")


@pytest.mark.parametrize(("point", "out"), KILLED)
def test_killed_on_the_way(story: Story, point: str, out: str) -> None:
    code, said = story.kollalab("upgrade", "--to", TO, crash_at=point)
    assert code == -signal.SIGKILL, said
    # Nobody takes it for a lab of either release.
    for release in (SOURCE, TO):
        code, said = story.kollalab("plan", "--release", release)
        assert code != 0, said
        assert f"from {SOURCE} to {TO} has not ended" in said
        assert f"kollalab rollback {BEFORE} --name {LAB}" in said
    if out == "rollback":
        story.done("rollback", BEFORE)
        assert "build" not in story.done("plan", "--release", SOURCE)
        story.session(SOURCE, "-k", "there or traffic")


def test_it_goes_on_and_ends(story: Story) -> None:
    said = story.done("upgrade", "--to", TO)
    assert f"upgraded from {SOURCE} to {TO}" in said
    assert "build" not in story.done("plan", "--release", TO)
    assert f"{TO}, upgraded from {SOURCE}" in story.done("show")
    record = story.record("cloud")
    assert record["status"] == "ready"
    story.session(TO, "-k", "there or traffic")


def test_the_way_back_and_there_again(story: Story) -> None:
    """A saved state of before is whole after the upgrade, and one of after is so before it."""
    story.done("save", "after")
    story.done("rollback", BEFORE)
    assert "build" not in story.done("plan", "--release", SOURCE)
    story.session(SOURCE, "-k", "there or traffic")
    story.done("rollback", "after")
    assert "build" not in story.done("plan", "--release", TO)
    story.session(TO, "-k", "there or traffic")


def test_there_is_no_way_down(story: Story) -> None:
    code, said = story.kollalab("upgrade", "--to", SOURCE)
    assert code == 2, said
    assert f"does not go back to {SOURCE}" in said


def test_nothing_is_left(story: Story, before: State) -> None:
    take(story.trail)
    story.done("down", "--discard-saved")
    assert not any(take(story.trail).values())
    host_state.await_same(before, LAB)
