"""Locks and leases between processes."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pytest_kollalab.system import locks
from pytest_kollalab.system.errors import BusyError
from pytest_kollalab.system.locks import Lease, ReadWriteLock, exclusive, held_for, holder

HOLD = """
import sys
from pathlib import Path
from pytest_kollalab.system.locks import Lease, ReadWriteLock, exclusive
path = Path(sys.argv[2])
if sys.argv[1] == "lock":
    with exclusive(path, "build images", log=Path("/logs/images.log")):
        print("held", flush=True)
        sys.stdin.read()
elif sys.argv[1] in ("together", "alone"):
    with getattr(ReadWriteLock(path), sys.argv[1])(lambda: print("waits", flush=True)):
        print("held", flush=True)
        sys.stdin.read()
else:
    lease = Lease(path)
    lease.take()
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def other_process(kind: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, kind, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    told: list[str] = []
    with other_process("lock", path) as other:
        with (
            pytest.raises(BusyError) as caught,
            exclusive(path, "x", timeout=0.3, waiting=told.append),
        ):
            pass
        assert f"process {other.pid} (build images" in caught.value.details
        assert len(told) == 1
        assert told[0].endswith("; follow it in /logs/images.log")


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    with other_process("lock", path) as other:
        other.kill()
        other.wait()
        with exclusive(path, "y", timeout=60):
            assert "(y, since" in holder(path)


def test_a_holder_that_left_no_name_is_another_process(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") == "another process"


def test_a_lease_names_the_other_processes_that_have_it(tmp_path: Path) -> None:
    path = tmp_path / "lab.lease"
    mine = Lease(path)
    mine.take()
    assert mine.users() == locks.NAMELESS
    with other_process("lease", path) as other:
        assert mine.users() == f"process {other.pid} ({Path(sys.executable).name})"
    mine.release()


def test_a_lease_is_shared_only_while_another_process_has_it(tmp_path: Path) -> None:
    path = tmp_path / "lab.lease"
    mine = Lease(path)
    assert not mine.is_shared()
    mine.take()
    mine.take()
    assert not mine.is_shared()
    with other_process("lease", path):
        assert mine.is_shared()
        mine.release()
        assert mine.is_shared()
        mine.take()
    assert not mine.is_shared()
    mine.release()


def test_of_two_who_leave_the_second_is_the_last(tmp_path: Path) -> None:
    one, two = Lease(tmp_path / "lab.lease"), Lease(tmp_path / "lab.lease")
    one.take()
    two.take()
    assert not one.claim()
    assert two.claim()
    two.release()
    assert one.claim()
    one.release()


def test_who_comes_while_the_last_one_removes_waits(tmp_path: Path) -> None:
    last, comer = Lease(tmp_path / "lab.lease"), Lease(tmp_path / "lab.lease")
    assert last.claim()

    with pytest.raises(Told):
        comer.take(tell)
    last.release()
    comer.take(never)
    comer.release()


class Told(Exception):  # noqa: N818
    pass


def tell() -> None:
    raise Told


def never() -> None:
    raise AssertionError("waited")


def test_many_are_together_and_nobody_beside_one_alone(tmp_path: Path) -> None:
    path = tmp_path / "lab"
    with other_process("together", path), ReadWriteLock(path).together(never):
        pass
    with ReadWriteLock(path).alone(never):
        pass
    for held, wanted in [("alone", "together"), ("together", "alone")]:
        told: list[str] = []
        with other_process(held, path) as other:

            def waits(other: subprocess.Popen[str] = other, told: list[str] = told) -> None:
                told.append("waits")
                other.kill()
                other.wait()

            with getattr(ReadWriteLock(path), wanted)(waits):
                assert told == ["waits"]


def test_workers_of_a_run_are_no_others(tmp_path: Path) -> None:
    path = tmp_path / "lab.lease"
    one, two, three = Lease(path, "a"), Lease(path, "a"), Lease(path, "b")
    one.take()
    two.take()
    assert not one.others()
    three.take()
    assert one.others()
    three.release()
    assert not one.others()
    one.release()
    two.release()
    assert three.claim()
    three.forget()
    assert list(tmp_path.iterdir()) == []
    three.release()


def test_the_file_goes_with_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    with exclusive(path, "x"):
        assert held_for(path) == "x"
    assert held_for(path) == ""
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_another_by_now_stays(tmp_path: Path) -> None:
    path = tmp_path / "lab.lock"
    with exclusive(path, "x"):
        path.unlink()
        path.write_text("of somebody else")
    assert path.read_text() == "of somebody else"


def test_of_many_at_a_lock_whose_file_comes_and_goes_one_is_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "POLL", 0.0)
    path = tmp_path / "lab.lock"
    inside = tmp_path / "inside"
    done: list[int] = []

    def work(number: int) -> None:
        for _ in range(50):
            with exclusive(path, str(number)):
                inside.touch(exist_ok=False)
                inside.unlink()
                done.append(number)

    with ThreadPoolExecutor(6) as pool:
        for job in [pool.submit(work, number) for number in range(6)]:
            job.result()
    assert len(done) == 300
    assert list(tmp_path.iterdir()) == []


def test_who_waited_for_a_lease_that_is_gone_has_the_new_one(tmp_path: Path) -> None:
    last, comer, third = (Lease(tmp_path / "lab.lease", run) for run in "abc")
    assert last.claim()

    def told() -> None:
        # By now the comer has opened the file.
        last.forget()
        last.release()

    comer.take(told)
    assert third.is_shared()
    assert third.others()
    assert not third.claim()
    comer.release()
    assert third.claim()
    third.release()


def test_the_files_of_a_lab_stay_while_somebody_has_it(tmp_path: Path) -> None:
    user, other = Lease(tmp_path / "lab.lease", "a"), Lease(tmp_path / "lab.lease", "b")
    user.take()
    assert not other.claim()
    other.forget()
    assert other.others()
    user.release()


@pytest.mark.parametrize("how", ["together", "alone"])
def test_nobody_is_beside_one_alone_after_the_files_were_to_go(tmp_path: Path, how: str) -> None:
    path = tmp_path / "lab"
    with getattr(ReadWriteLock(path), how)(never):
        ReadWriteLock(path).forget()
        with pytest.raises(Told), ReadWriteLock(path).alone(tell):
            pass
    ReadWriteLock(path).forget()
    assert not list(tmp_path.glob("lab.*"))
    with ReadWriteLock(path).alone(never):
        pass


def test_what_is_left_of_labs_that_never_came_to_be_goes(tmp_path: Path) -> None:
    there, held, absent = (Lease(tmp_path / f"{name}.lease", "run") for name in "abc")
    (tmp_path / "a").mkdir()
    for lease in (there, held, absent):
        lease.take()
    with ReadWriteLock(tmp_path / "c").together(never):
        pass
    there.release()
    absent.release()
    locks.forget_absent(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"a", "a.lease", "b.lease", "b.lease-of-run"}
    held.release()


def test_the_last_process_of_a_run_takes_the_file_of_the_run_along(tmp_path: Path) -> None:
    one, two = (Lease(tmp_path / "lab.lease", "a") for _ in range(2))
    one.take()
    two.take()
    one.release()
    assert (tmp_path / "lab.lease-of-a").exists()
    two.release()
    assert [path.name for path in tmp_path.iterdir()] == ["lab.lease"]
