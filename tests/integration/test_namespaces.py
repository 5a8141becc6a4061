"""Runs in another namespace of PIDs, as in a container: from outside and from inside they live."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_kollalab.engine import leftovers
from pytest_kollalab.system import process
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.wait import until

# Starts a child as every run does, tells its mark and the PID of the child, and waits.
RUN = """
import sys
from pytest_kollalab.system import process
from pytest_kollalab.system.run import run
process.VARIABLE = "KOLLALAB_TEST_OWNER"
print(process.mark(), flush=True)
run([sys.executable, "-c", "import time; print('runs', flush=True); time.sleep(60)"],
    on_line=lambda line: print(line, flush=True))
"""
JUDGE = """
import sys
from pytest_kollalab.system import process
print(process.left_by_the_dead(sys.argv[1]), process.lives(process.mark()))
"""
OWN_PROC = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
SHARED_PROC = OWN_PROC[:-1]


@pytest.fixture(params=[OWN_PROC, SHARED_PROC], ids=["with its /proc", "with ours"])
def inside(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A run in a namespace of its own, and its mark."""
    monkeypatch.setattr(process, "VARIABLE", "KOLLALAB_TEST_OWNER")
    argv = [*request.param, sys.executable, "-c", RUN]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, bufsize=1) as running:
        assert running.stdout is not None
        mark = running.stdout.readline().strip()
        assert running.stdout.readline() == "runs\n"
        yield running, mark
        running.kill()


def test_a_run_in_another_namespace_lives_as_long_as_it_runs(
    inside: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    running, mark = inside
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    file = paths.cache / f"push-{mark}-a"
    file.parent.mkdir()
    file.touch()
    assert process.lives(mark)
    # Its PID is another one here.
    assert process.living(mark) == 0
    assert process.orphans() == []
    leftovers.remove(paths, lambda _: None)
    assert file.exists()
    running.kill()
    until("the run has ended", lambda: process.left_by_the_dead(mark) or None, timeout=30)
    leftovers.remove(paths, lambda _: None)
    assert not file.exists()


@pytest.mark.parametrize("argv", [OWN_PROC, SHARED_PROC], ids=["with its /proc", "with ours"])
def test_from_within_a_namespace_nobody_outside_is_taken_for_dead(argv: list[str]) -> None:
    words = [*argv, sys.executable, "-c", JUDGE, process.mark()]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert said == "False True\n"
