"""What killed runs leave: known by the process it belonged to, and removed; nothing else is."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import astuple, replace
from pathlib import Path

import pytest

from pytest_kollalab.engine import leftovers
from pytest_kollalab.engine.runs import SharedRun
from pytest_kollalab.system import process as owner
from pytest_kollalab.system import temporary
from pytest_kollalab.system.crash_points import VARIABLE, point
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.run import run

# Starts a child as everything of ours starts one, tells who that is, and waits.
PARENT = """
import sys
from pytest_kollalab.system import process as owner
from pytest_kollalab.system.run import run
owner.VARIABLE = "KOLLALAB_TEST_OWNER"
run([sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(60)"],
    on_line=lambda line: print(line, flush=True))
"""


@pytest.fixture
def dead() -> str:
    """The mark of a process that is gone."""
    said = run(
        [
            sys.executable,
            "-c",
            "from pytest_kollalab.system import process; print(process.mark())",
        ]
    )
    return said.stdout.strip()


@pytest.fixture
def family(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process and the child that it owns; under a name that no other run on this host cleans."""
    monkeypatch.setattr(owner, "VARIABLE", "KOLLALAB_TEST_OWNER")
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        yield parent, child
        parent.kill()
        if owner.runs(child):
            os.kill(child, signal.SIGKILL)


def test_a_process_knows_itself_alive() -> None:
    assert owner.lives(owner.mark())
    assert owner.living(f"push-{owner.mark()}-x") == os.getpid()
    assert not owner.left_by_the_dead(f"push-{owner.mark()}-x")


def test_a_number_that_is_used_again_is_another_process() -> None:
    before = re.sub(r"\.\d+_", ".1_", owner.mark())
    assert not owner.lives(before)
    assert owner.left_by_the_dead(f"push-{before}-x")
    assert not owner.lives("nonsense")


def elsewhere(**changes: str) -> str:
    """The mark of a process that has the number of this one and started at another time."""
    number = owner.mark().partition(".")[0]
    return f"{number}.1_{''.join(astuple(replace(owner.place(), **changes)))}"


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "12345678", "boot": "12345678"},
        {"host": owner.UNKNOWN, "boot": "12345678"},
        {"time": "12345678"},
        {"pids": owner.UNKNOWN},
    ],
    ids=["another host", "a host without identity", "another clock", "a kernel without namespaces"],
)
def test_what_cannot_be_judged_lives(paths: Paths, changes: dict[str, str]) -> None:
    name = elsewhere(**changes)
    assert not owner.left_by_the_dead(f"push-{name}-x")
    assert not owner.lives(name)
    assert owner.living(f"used-{name}") == 0
    file, run = paths.cache / f"push-{name}-a", paths.state / "runs" / "run" / f"owner-{name}"
    for path in (file, run):
        path.parent.mkdir(parents=True)
        path.touch()
    leftovers.remove(paths, lambda _: None)
    assert file.exists()
    assert run.exists()


def test_the_mark_of_an_older_version_cannot_be_judged() -> None:
    assert not owner.left_by_the_dead("push-pid4194304.1-x")


def test_what_ran_before_this_host_was_started_again_is_dead() -> None:
    assert owner.left_by_the_dead(elsewhere(boot="12345678"))


def test_a_namespace_below_ours_that_is_gone_has_no_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    mark = elsewhere(pids="12345678")
    here = replace(owner.place(), pids=owner.INITIAL)
    monkeypatch.setattr(owner, "place", lambda: here)
    assert owner.left_by_the_dead(mark)
    # From within a namespace, those beside and above it cannot be seen.
    monkeypatch.setattr(owner, "place", lambda: replace(here, pids="87654321"))
    assert not owner.left_by_the_dead(mark)


def test_without_a_proc_of_its_own_a_process_judges_no_other(
    monkeypatch: pytest.MonkeyPatch, dead: str
) -> None:
    assert owner.left_by_the_dead(dead)
    monkeypatch.setattr(owner, "_own_number", lambda: os.getpid() + 1)
    assert not owner.left_by_the_dead(dead)
    assert owner.lives(owner.mark())


@pytest.mark.parametrize("name", ["kolla-22.2.0.tar.gz", "2026.1", "tools.txt", "e96a2892d848"])
def test_what_carries_no_mark_is_nobodys_leftover(name: str) -> None:
    assert not owner.left_by_the_dead(name)


def test_a_zombie_does_not_live() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    deadline = time.monotonic() + 60
    while owner.runs(process.pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.wait()


def test_orphans_are_found_and_ended(family: tuple[subprocess.Popen[str], int]) -> None:
    parent, child = family
    assert child not in owner.orphans()
    parent.kill()
    parent.wait()
    assert child in owner.orphans()
    assert "sleep" in owner.command(child)
    assert 0 <= owner.age(child) < 60
    said: list[str] = []
    leftovers.end([child], said.append)
    assert said == ["ending 1 process that a killed run left behind"]
    assert not owner.runs(child)


def test_temporary_files_of_the_dead_are_removed_and_no_others(paths: Paths, dead: str) -> None:
    gone = [
        paths.cache / f"push-{dead}-a",
        paths.cache / "images" / f"base-{dead}-b",
        paths.cache / "stages" / "images" / "records" / f".k.json.{dead}.c",
        paths.state / "labs" / "lab" / f".nodes.json.{dead}.d",
    ]
    stays = [
        paths.cache / f"push-{owner.mark()}-a",
        paths.cache / "images" / "sources" / "kolla-22.2.0.tar.gz",
        paths.state / "labs" / "lab" / "nodes.json",
    ]
    for path in (*gone, *stays):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    gone[0].unlink()
    gone[0].mkdir()
    (gone[0] / "images.tar").touch()
    assert set(leftovers.files(paths)) >= set(gone)
    leftovers.remove(paths, lambda _: None)
    assert not any(path.exists() for path in gone)
    assert all(path.exists() for path in stays)


@pytest.mark.parametrize("root", ["cache", "state"])
def test_temporary_files_are_found_wherever_a_stage_may_make_them(
    paths: Paths, dead: str, root: str
) -> None:
    folder = getattr(paths, root)
    deep = folder.joinpath(*"abcd"[: temporary.DEPTH - 1])
    gone = [folder / f"x-{dead}-a", deep / f"x-{dead}-b"]
    below, link = deep / "d" / f"x-{dead}-c", folder / "link"
    marked = folder / "runs" / "run" / f"used-{dead}"
    for path in (*gone, below, marked):
        path.mkdir(parents=True)
    link.symlink_to(deep, target_is_directory=True)
    assert sorted(temporary.abandoned(folder)) == sorted(gone)


def test_a_scratch_folder_tells_its_owner(tmp_path: Path) -> None:
    with temporary.scratch(tmp_path / "new", "push") as folder:
        assert Path(folder).name.startswith(f"push-{owner.mark()}-")
        assert Path(folder).is_dir()
    assert not Path(folder).exists()


def test_the_folder_of_a_run_goes_with_its_process(paths: Paths, dead: str) -> None:
    mine, other = SharedRun(paths, "mine"), SharedRun(paths, "other")
    mine.open()
    other.open()
    for path in other.folder.iterdir():
        path.rename(path.with_name(f"owner-{dead}"))
    leftovers.remove(paths, lambda _: None)
    assert mine.folder.is_dir()
    assert not other.folder.exists()


def test_sockets_without_a_listener_go(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = Path(f"/tmp/kollalab-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    deaf, alive = folder / f"t{os.getpid()}-deaf", folder / f"t{os.getpid()}-alive"
    with socket.socket(socket.AF_UNIX) as one, socket.socket(socket.AF_UNIX) as two:
        one.bind(str(deaf))
        two.bind(str(alive))
        two.listen()
        one.close()
        found = set(leftovers.files(Paths(cache=tmp_path, state=tmp_path)))
    assert deaf in found
    assert alive not in found
    deaf.unlink()
    alive.unlink()


def test_a_point_is_deadly_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    point("nodes:created")
    monkeypatch.setenv(VARIABLE, "nodes:recorded")
    point("nodes:created")
    code = "from pytest_kollalab.system.crash_points import point; point('nodes:recorded')"
    assert run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL


def test_older_versions_do_not_see_our_processes() -> None:
    # They look for this variable, and take a mark that has a place for that of a dead process.
    assert "KOLLALAB_OWNER" not in owner.environment()
