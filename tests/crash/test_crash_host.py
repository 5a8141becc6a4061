"""What ends a lab or its run from outside: reboot, docker's restart, a closed terminal, full disks.

Nothing of a lab is lost that should stay, and nothing is left that should go.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import docker
import pytest

from pytest_kollalab.providers.docker.spec import resource_name
from pytest_kollalab.system.wait import NotYet, until
from tests.crash.census import Trail, take
from tests.crash.table import Table
from tests.crash.tools import KOLLALAB, TIMEOUT
from tests.other_daemon import OtherDaemon

pytestmark = pytest.mark.usefixtures("images")
LAB = "crash-host"
UP = ("up", "--until", "nodes", "--feature", "sfc")
NODES = ("controller-1", "compute-1")
NOBODY = "nothing else"
# A session that has its lab and waits to be ended.
SESSION = """
import time
from pathlib import Path

def test_waits(lab_nodes):
    Path("began").touch()
    time.sleep(600)
"""
# A state folder of its own size that nobody else sees, then what fills it, then a verb.
SMALL = """
set -e
mount -t tmpfs -o size=8m,nr_inodes=400 none "$KOLLALAB_STATE"
lab="$1"; how="$2"; shift 2
kollalab up --until nodes --feature sfc --name "$lab" > /dev/null
case $how in
    full) dd if=/dev/zero of="$KOLLALAB_STATE/fill" bs=4k 2> /dev/null || true ;;
    inodes) i=0; while touch "$KOLLALAB_STATE/fill-$i" 2> /dev/null; do i=$((i + 1)); done ;;
    read-only) mount -o remount,ro none "$KOLLALAB_STATE" ;;
esac
! touch "$KOLLALAB_STATE/one-more" 2> /dev/null
code=0; kollalab "$@" || code=$?
echo "code $code"
ls "$KOLLALAB_STATE/labs"
"""


class Lab:
    """A lab of two nodes by the command line, with a state of its own."""

    def __init__(self, folder: Path, name: str = LAB, uri: str = "") -> None:
        self.name = name
        self.folder = folder
        self.state = folder / "state"
        self.output = folder / "output"
        self.trail = Trail(f"kollalab.lab={name}", (self.state / "labs" / name,))
        path = f"{KOLLALAB.parent}:{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "KOLLALAB_STATE": str(self.state)}
        if uri:
            self.environment |= {"KOLLALAB_PROVIDER": "docker", "KOLLALAB_PROVIDER_URI": uri}

    def run(self, *words: str) -> None:
        argv = [str(KOLLALAB), words[0], "--name", self.name, *words[1:]]
        with self.output.open("w") as sink:
            options: dict[str, Any] = {"stdout": sink, "stderr": subprocess.STDOUT}
            done = subprocess.run(
                argv, check=False, env=self.environment, timeout=TIMEOUT, **options
            )
        if done.returncode:
            pytest.fail(f"exit code {done.returncode} of {argv}:\n{self.said()}", pytrace=False)

    def said(self) -> str:
        return self.output.read_text()

    def on_both(self, script: str) -> list[str]:
        found = []
        for node in NODES:
            self.run("ssh", node, script)
            found.append(self.said().strip())
        return found

    def states(self) -> list[str]:
        self.run("show")
        lines = [line.split() for line in self.said().splitlines() if line.startswith("  saved")]
        return [line[1] for line in lines]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    found = Lab(tmp_path)
    yield found
    found.run("down", "--discard-saved")
    left = take(found.trail)
    assert not any(left.values()), left
    assert list(found.state.glob("runs/*")) == []


@pytest.fixture(scope="module")
def other() -> Iterator[OtherDaemon]:
    """A daemon that has the image of the nodes."""
    with tempfile.TemporaryDirectory(prefix="kl-") as name:
        made = OtherDaemon(Path(name))
        try:
            made.start()
            here = docker.from_env().images.list("kollalab/node")
            for tag in [tag for image in here for tag in image.tags]:
                save, load = ["docker", "save", tag], ["docker", "--host", made.uri, "load"]
                with subprocess.Popen(save, stdout=subprocess.PIPE) as saved:
                    subprocess.run(load, check=True, stdin=saved.stdout, capture_output=True)
                assert saved.returncode == 0
            yield made
        finally:
            made.remove()


def beyond(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """What is more than before. The processes and logs of nodes that run are now more, now less."""
    return {k: 0 if k in ("processes", "files") else max(0, n - before[k]) for k, n in now.items()}


@pytest.mark.parametrize("verb", ["up", "rollback"])
def test_a_reboot(lab: Lab, table: Table, verb: str) -> None:
    lab.run(*UP)
    lab.on_both("echo saved > /root/file")
    lab.run("save", "mine")
    lab.on_both("echo later > /root/file")
    before = take(lab.trail)
    started = time.monotonic()
    # What is left of containers by a reboot: all of them, and none runs.
    for thing in (*NODES, "registry"):
        docker.from_env().containers.get(resource_name(LAB, thing)).kill()
    stopped = take(lab.trail)
    lab.run(*(UP if verb == "up" else ("rollback", "mine")))
    after = beyond(before, take(lab.trail))
    table.add("a reboot", stopped, f"kollalab {verb}", after, time.monotonic() - started)
    assert not any(after.values()), after
    assert lab.states() == ["mine"]
    assert lab.on_both("cat /root/file") == ["later" if verb == "up" else "saved"] * 2
    assert lab.on_both("systemctl is-system-running") == ["running"] * 2


def test_a_restart_of_docker(
    tmp_path: Path, table: Table, other: OtherDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path, f"{LAB}-2", other.uri)
    # The census looks there; the command line is told by its own setting.
    monkeypatch.setenv("DOCKER_HOST", other.uri)
    lab.run(*UP)
    lab.on_both("echo saved > /root/file")
    lab.run("save", "mine")
    before = take(lab.trail)
    started = time.monotonic()
    other.stop()
    other.start()
    stopped = take(lab.trail)
    lab.run(*UP)
    after = beyond(before, take(lab.trail))
    by, seconds = "kollalab up", time.monotonic() - started
    table.add("a restart of dockerd", stopped, by, after, seconds)
    assert not any(after.values()), after
    assert lab.states() == ["mine"]
    assert lab.on_both("cat /root/file") == ["saved"] * 2
    lab.run("down", "--discard-saved")
    left = take(lab.trail)
    assert not any(left.values()), left


class Session:
    """A session of pytest that has the lab."""

    def __init__(self, lab: Lab, *, terminal: bool = False) -> None:
        self.lab = lab
        (lab.folder / "test_waits.py").write_text(SESSION)
        (lab.folder / "kollalab.toml").write_text(f'[run]\nname = "{lab.name}"\nuntil = "nodes"\n')
        argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "test_waits.py"]
        self.errors = lab.folder / "errors"
        self.reader, output = os.openpty() if terminal else os.pipe()
        with self.errors.open("w") as errors:
            options: dict[str, Any] = {"cwd": lab.folder, "env": lab.environment}
            if terminal:
                options |= {"stdin": output, "preexec_fn": _own_terminal}
            self.process = subprocess.Popen(
                argv, stdout=output, stderr=output if terminal else errors, **options
            )
        os.close(output)
        os.set_blocking(self.reader, False)
        lab.trail.pids.append(self.process.pid)
        self.said = b""
        until("the session has its lab", self._has_lab, timeout=TIMEOUT)

    def _has_lab(self) -> bool | NotYet:
        # A pipe that nobody empties would stop it.
        with suppress(OSError):
            self.said += os.read(self.reader, 65536)
        assert self.process.poll() is None, self.said.decode() + self.errors.read_text()
        return (self.lab.folder / "began").exists() or NotYet(self.said.decode()[-200:])

    def hang_up(self) -> None:
        """Close the other end of its output."""
        os.close(self.reader)

    def ends(self) -> int:
        return self.process.wait(TIMEOUT)


def _own_terminal() -> None:
    os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_a_terminal_that_is_closed(lab: Lab, table: Table) -> None:
    session = Session(lab, terminal=True)
    there, started = take(lab.trail), time.monotonic()
    session.hang_up()
    assert session.ends() == pytest.ExitCode.INTERRUPTED
    after = take(lab.trail)
    table.add("SIGHUP to a session", there, NOBODY, after, time.monotonic() - started)
    assert not any(after.values()), after


def test_a_pipe_that_nobody_reads(lab: Lab, table: Table) -> None:
    session = Session(lab)
    there, started = take(lab.trail), time.monotonic()
    session.hang_up()
    session.process.send_signal(signal.SIGINT)
    assert session.ends() == pytest.ExitCode.INTERRUPTED
    after = take(lab.trail)
    table.add("EPIPE and Ctrl-C", there, NOBODY, after, time.monotonic() - started)
    assert not any(after.values()), after
    # The report is not lost: it goes to standard error.
    said = session.errors.read_text()
    assert f"kollalab: removing lab {LAB}" in said
    assert f"lab {LAB} was removed in" in said
    assert "no tests ran" in said
    assert "Traceback" not in said


def test_docker_is_gone_at_the_end(
    tmp_path: Path, table: Table, other: OtherDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab(tmp_path, f"{LAB}-3", other.uri)
    monkeypatch.setenv("DOCKER_HOST", other.uri)
    session = Session(lab)
    started = time.monotonic()
    other.stop()
    session.process.send_signal(signal.SIGINT)
    try:
        assert session.ends() == pytest.ExitCode.INTERRUPTED
        os.set_blocking(session.reader, True)
        said = (session.said + os.read(session.reader, 2**20)).decode()
        assert f"lab {lab.name} is not removed" in said
        assert f"kollalab down --name {lab.name}" in said
        assert "no tests ran" in said
        assert "Traceback" not in said + session.errors.read_text()
    finally:
        other.start()
    there = take(lab.trail)
    lab.run("down")
    after = take(lab.trail)
    table.add("docker gone at the end", there, "kollalab down", after, time.monotonic() - started)
    assert not any(after.values()), after


REMOVED: dict[str, Callable[[str], bool]] = {
    "full": lambda said: said.endswith("code 0\n"),
    "inodes": lambda said: said.endswith("code 0\n"),
    # Files cannot be removed, which is said; all else is.
    "read-only": lambda said: "nodes of lab" in said and "its record cannot be" in said,
}


@pytest.mark.parametrize("how", REMOVED)
@pytest.mark.parametrize("verb", ["down", "gc"])
def test_a_disk_that_takes_nothing(tmp_path: Path, table: Table, how: str, verb: str) -> None:
    lab = Lab(tmp_path, f"{LAB}-4")
    lab.state.mkdir()
    words = ["down", "--name", lab.name]
    if verb == "gc":
        words = ["gc", "--yes", "--older-than", "0", "--kind", "lab"]
    started = time.monotonic()
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SMALL, "sh", lab.name, how, *words],
        check=False, capture_output=True, text=True, env=lab.environment, timeout=TIMEOUT,
    )  # fmt: skip
    said = done.stderr + done.stdout
    after = take(lab.trail)
    row = f"a {how} disk" if how != "inodes" else "a disk without inodes"
    table.add(row, dict.fromkeys(after, 0), f"kollalab {verb}", after, time.monotonic() - started)
    assert REMOVED[how](said), said
    assert "Traceback" not in said
    assert not any(after.values()), (after, said)
