"""File locks: an exclusive lock for changes, and a shared lease for use.

The holder of an exclusive lock removes the lock file at the end. A process that waited for the
lock may then hold the lock of a removed file. Every process therefore checks after locking that
the path still names the locked file, and tries again if not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_kollalab.system import files, process
from pytest_kollalab.system.errors import BusyError, if_writable, is_unwritable

# Set by pytest-xdist to the name of the worker.
WORKER = "PYTEST_XDIST_WORKER"
POLL = 0.1
READ = os.O_RDONLY | os.O_CLOEXEC
NAMELESS = "another process"


def holder(path: Path) -> str:
    """Describe the process that last wrote to the lock file."""
    table = _read(path)
    if not table:
        return NAMELESS
    worker = f"{table['worker']}, " if table["worker"] else ""
    return f"{worker}process {table['pid']} ({table['what']}, since {table['since']})"


def held_for(path: Path) -> str:
    """What the lock is held for, or an empty string if it is free."""
    return "" if _is_free(path) else str(_read(path).get("what", ""))


@contextlib.contextmanager
def exclusive(
    path: Path,
    what: str,
    *,
    log: Path | None = None,
    timeout: float = 7200.0,
    waiting: Callable[[str], None] | None = None,
    removes: bool = False,
) -> Iterator[None]:
    """Hold the lock while the body runs.

    The kernel releases the lock if the process dies. The lock file is removed at the end.

    Args:
        path: The lock file.
        what: What the lock is held for, shown to processes that wait.
        log: The log file of the holder, shown to processes that wait.
        timeout: How long to wait for the lock, in seconds.
        waiting: Called with a message for each process that this one waits for.
        removes: The body only removes things. Where the lock file cannot be created, because the
            disk is full for example, the nearest folder is locked instead.

    Raises:
        BusyError: The lock was not free in time.
    """
    started = time.monotonic()
    deadline = started + timeout
    told = ""
    while (handle := _acquire(path, fcntl.LOCK_EX, removes=removes)) is None:
        # The holder writes its name just after it has taken the lock.
        named = holder(path)
        if named not in (told, NAMELESS) or (not told and time.monotonic() > started + 1):
            told = named
            if waiting is not None:
                waiting(f"waiting for {named}{_follow(path)}")
        if time.monotonic() >= deadline:
            raise BusyError(
                f"{path.name} is still locked after {timeout:.0f} s",
                details=f"held by {holder(path)}",
                hint="wait for it, or stop that process",
            )
        time.sleep(POLL)
    try:
        table = {
            "pid": os.getpid(),
            "worker": os.environ.get(WORKER, ""),
            "what": what,
            "since": time.strftime("%H:%M:%S"),
            "log": str(log or ""),
        }
        # Only of use for those who wait. A folder cannot be written, nor can a full disk.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.pwrite(handle, json.dumps(table).encode(), 0)
        yield
    finally:
        try:
            _remove(handle, path)
        finally:
            # Close even if a signal interrupts the removal.
            os.close(handle)


class Lease:
    """A shared lease on a lab. A lab is not destroyed while another process has a lease on it.

    Args:
        path: The lease file.
        run: The run that this process belongs to. `others` ignores leases of the same run.
    """

    def __init__(self, path: Path, run: str = "") -> None:
        self.path = path
        self.run = run
        self._handle: int | None = None
        self._own: int | None = None

    def take(self, waiting: Callable[[], None] | None = None) -> None:
        """Take the lease, unless this object already has it.

        Args:
            waiting: Called before this waits for another process to remove the lab.
        """
        if self._handle is not None:
            return
        self._handle = _wait(self.path, fcntl.LOCK_SH, waiting or _silently)
        self._own = _wait(self._path_of(self.run), fcntl.LOCK_SH, _silently)
        files.used(self._lab)

    def others(self) -> bool:
        """Whether a process of another run has a lease on the lab."""
        mine = self._path_of(self.run)
        runs = self.path.parent.glob(self._path_of("*").name)
        return any(path != mine and not _is_free(path) for path in runs)

    def users(self) -> str:
        """Describe the other processes that have a lease on the lab."""
        told = [f"process {pid} ({_program(pid)})" for pid in process.having_open(self.path)]
        return ", ".join(told) or NAMELESS

    def forget(self) -> None:
        """Remove the lock files of a removed lab. Does nothing without a successful `claim`.

        Other processes can take the lease afterwards.
        """
        if self._handle is None:
            return
        for path in self.path.parent.glob(self._path_of("*").name):
            with if_writable():
                path.unlink(missing_ok=True)
        ReadWriteLock(self.path.with_suffix("")).forget()
        _remove(self._handle, self.path)

    def claim(self) -> bool:
        """Try to make the lease exclusive. Callers must hold the lab's lock.

        If another process has a lease, this one is released, so that the last of several processes
        that end succeeds.

        Returns:
            Whether the lease is now exclusive.
        """
        if self._handle is None:
            try:
                self._handle = _acquire(self.path, fcntl.LOCK_EX)
            except OSError as error:
                # A file that is not there and cannot be created is nobody's lease.
                if not is_unwritable(error) or self.path.exists():
                    raise
                return True
            return self._handle is not None
        # The kernel releases a shared lock before it tries to take the exclusive one.
        if _try(self._handle, fcntl.LOCK_EX):
            return True
        self.release()
        return False

    def release(self) -> None:
        """Release the lease. Until now the lab was used."""
        if self._own is not None:
            files.used(self._lab)
            # The last process of a run, or a lab that is kept would get a file by each run.
            if _try(self._own, fcntl.LOCK_EX):
                _remove(self._own, self._path_of(self.run))
        for handle in (self._handle, self._own):
            if handle is not None:
                os.close(handle)
        self._handle = self._own = None

    @property
    def _lab(self) -> Path:
        return self.path.with_suffix("")

    def _path_of(self, run: str) -> Path:
        return self.path.with_name(f"{self.path.name}-of-{run or 'nobody'}")

    def is_shared(self) -> bool:
        """Whether another process has a lease on the lab."""
        if self._handle is None:
            return not _is_free(self.path)
        # A second handle would conflict with our own shared lock, so convert that lock instead.
        # A failed conversion may drop the shared lock, so take it again in any case.
        alone = _try(self._handle, fcntl.LOCK_EX)
        fcntl.flock(self._handle, fcntl.LOCK_SH)
        if not _is_at(self._handle, self.path):
            self.release()
            self.take()
        return not alone


def forget_absent(labs: Path) -> None:
    """Remove the lock files of labs without a folder, unless a process has a lease on them."""
    for path in labs.glob("*.lease"):
        lease = Lease(path)
        if not path.with_suffix("").is_dir() and lease.claim():
            try:
                lease.forget()
            finally:
                lease.release()


class ReadWriteLock:
    """A lock for shared and exclusive use of a lab, in which a waiting writer blocks new readers.

    It consists of two locks, gate and room. Readers pass the gate and hold the room. A writer holds
    the gate, which keeps out new readers, and then waits until the room is empty.
    """

    def __init__(self, path: Path) -> None:
        self._gate = path.with_name(f"{path.name}.gate")
        self._room = path.with_name(f"{path.name}.room")

    @contextlib.contextmanager
    def together(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Use the lab together with others. `waiting` is called if this has to wait."""
        with contextlib.ExitStack() as inside:
            with _held(self._gate, fcntl.LOCK_SH, waiting):
                inside.enter_context(_held(self._room, fcntl.LOCK_SH, _silently))
            yield

    @contextlib.contextmanager
    def alone(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Use the lab exclusively. `waiting` is called if this has to wait."""
        with (
            _held(self._gate, fcntl.LOCK_EX, waiting),
            _held(self._room, fcntl.LOCK_EX, waiting),
        ):
            yield

    def forget(self) -> None:
        """Remove the lock files, unless a process uses or waits for one of the locks."""
        gate = _acquire(self._gate, fcntl.LOCK_EX)
        if gate is None:
            return
        try:
            room = _acquire(self._room, fcntl.LOCK_EX)
            if room is not None:
                _remove(room, self._room)
                os.close(room)
                _remove(gate, self._gate)
        finally:
            os.close(gate)


@contextlib.contextmanager
def _held(path: Path, kind: int, waiting: Callable[[], None]) -> Iterator[None]:
    handle = _wait(path, kind, waiting)
    try:
        yield
    finally:
        os.close(handle)


def _wait(path: Path, kind: int, waiting: Callable[[], None]) -> int:
    handle = _acquire(path, kind, waiting)
    assert handle is not None
    return handle


def _acquire(
    path: Path,
    kind: int,
    waiting: Callable[[], None] | None = None,
    *,
    removes: bool = False,
) -> int | None:
    """Open and lock a file. Returns None if it is locked and there is no `waiting`."""
    while True:
        try:
            handle = _create(path)
        except OSError as error:
            if not removes or not is_unwritable(error):
                raise
            path = next(each for each in path.parents if each.is_dir())
            handle = os.open(path, READ)
        mine = False
        try:
            if not _try(handle, kind):
                if waiting is None:
                    return None
                waiting()
                fcntl.flock(handle, kind)
            mine = _is_at(handle, path)
            if mine:
                return handle
        finally:
            if not mine:
                os.close(handle)


def _create(path: Path) -> int:
    """Open a lock file, which is created if missing."""
    try:
        files.private(path.parent)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if not is_unwritable(error):
            raise
        try:
            return _open(path)
        except OSError:
            raise error from None


def _open(path: Path) -> int:
    """Open a lock file that exists; one that cannot be written can be locked all the same."""
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if not is_unwritable(error):
            raise
        return os.open(path, READ)


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock. Does not create the file."""
    while True:
        try:
            handle = _open(path)
        except FileNotFoundError:
            return True
        try:
            if not _try(handle, fcntl.LOCK_EX):
                return False
            if _is_at(handle, path):
                return True
        finally:
            os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    """Whether the path still names the open file."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _remove(handle: int, path: Path) -> None:
    """Remove an exclusively locked file. A failure is ignored, since it does no harm."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        if _is_at(handle, path):
            path.unlink()


def _program(pid: int) -> str:
    # Its options are left out, since they may have secrets.
    words = process.command(pid).split()
    return " ".join([Path(word).name for word in words[:2] if not word.startswith("-")]) or "?"


def _silently() -> None:
    """Wait without a message."""


def _read(path: Path) -> dict[str, Any]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    known = {"pid", "what", "since", "worker", "log"}
    return table if isinstance(table, dict) and known <= set(table) else {}


def _follow(path: Path) -> str:
    log = _read(path).get("log")
    return f"; follow it in {log}" if log else ""


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
