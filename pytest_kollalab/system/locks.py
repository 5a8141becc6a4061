"""File locks: one exclusive lock for changes, one shared lease for use.

A file is removed only by who holds its lock exclusively, as the last thing. Whoever has waited for
it then has the lock of a file that is gone: so everybody looks, once they have a lock, whether its
file is still the one of that name, and begins anew if not.
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

from pytest_kollalab.system.errors import BusyError

# Set by pytest-xdist in its workers: the name by which a user knows them.
WORKER = "PYTEST_XDIST_WORKER"
POLL = 0.1
NAMELESS = "another process"


def holder(path: Path) -> str:
    """Who wrote into the lock file last, as text."""
    table = _read(path)
    if not table:
        return NAMELESS
    worker = f"{table['worker']}, " if table["worker"] else ""
    return f"{worker}process {table['pid']} ({table['what']}, since {table['since']})"


def held_for(path: Path) -> str:
    """What the lock is held for at this moment; empty when nobody holds it."""
    return "" if _is_free(path) else str(_read(path).get("what", ""))


@contextlib.contextmanager
def exclusive(
    path: Path,
    what: str,
    *,
    log: Path | None = None,
    timeout: float = 7200.0,
    waiting: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the lock while the body runs; `waiting` is told whom this process waits for.

    `what` says what the holder does, `log` where one can follow it. The kernel releases the lock
    when its holder dies, however it dies; the file goes when the holder is done. `timeout` is in
    seconds. Raises BusyError when the holder does not let go.
    """
    started = time.monotonic()
    deadline = started + timeout
    told = ""
    while (handle := _acquire(path, fcntl.LOCK_EX)) is None:
        # Between taking the lock and writing its name a holder is nameless.
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
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(table).encode(), 0)
        yield
    finally:
        try:
            _remove(handle, path)
        finally:
            # Also when a signal comes in between.
            os.close(handle)


class Lease:
    """A shared hold on a lab: as long as somebody has one, nobody else destroys the lab.

    `run` names the run that the process is part of: its processes use the lab for one purpose.
    """

    def __init__(self, path: Path, run: str = "") -> None:
        self.path = path
        self.run = run
        self._handle: int | None = None
        self._own: int | None = None

    def take(self, waiting: Callable[[], None] | None = None) -> None:
        """Take the lease; taking it twice is the same as once.

        While somebody removes the lab this waits, and `waiting` is called.
        """
        if self._handle is not None:
            return
        self._handle = _wait(self.path, fcntl.LOCK_SH, waiting or _silently)
        self._own = _wait(self._path_of(self.run), fcntl.LOCK_SH, _silently)

    def others(self) -> bool:
        """Whether a process of another run holds the lease."""
        mine = self._path_of(self.run)
        runs = self.path.parent.glob(self._path_of("*").name)
        return any(path != mine and not _is_free(path) for path in runs)

    def forget(self) -> None:
        """Remove the files of a lab that is gone; without a claim on the lease this does nothing.

        Others may have the lease from here on.
        """
        if self._handle is None:
            return
        for path in self.path.parent.glob(self._path_of("*").name):
            path.unlink(missing_ok=True)
        ReadWriteLock(self.path.with_suffix("")).forget()
        _remove(self._handle, self.path)

    def claim(self) -> bool:
        """Have the lease for oneself alone, until it is released.

        False when somebody else holds it; then one's own hold is gone too, so that of several
        who leave, the last one can have it. Callers hold the lab's lock.
        """
        if self._handle is None:
            self._handle = _acquire(self.path, fcntl.LOCK_EX)
            return self._handle is not None
        # The kernel lets go of a shared hold before it tries for the exclusive one.
        if _try(self._handle, fcntl.LOCK_EX):
            return True
        self.release()
        return False

    def release(self) -> None:
        """Let go."""
        for handle in (self._handle, self._own):
            if handle is not None:
                os.close(handle)
        self._handle = self._own = None

    def _path_of(self, run: str) -> Path:
        return self.path.with_name(f"{self.path.name}-of-{run or 'nobody'}")

    def is_shared(self) -> bool:
        """Whether somebody else holds a lease on the lab too."""
        if self._handle is None:
            return not _is_free(self.path)
        # Our own shared hold would get in the way of the exclusive try: convert it instead.
        # A conversion that fails may drop the old hold, so it is taken again either way.
        alone = _try(self._handle, fcntl.LOCK_EX)
        fcntl.flock(self._handle, fcntl.LOCK_SH)
        if not _is_at(self._handle, self.path):
            self.release()
            self.take()
        return not alone


def forget_absent(labs: Path) -> None:
    """Remove the files of labs that have no folder in that of labs, and that nobody holds."""
    for path in labs.glob("*.lease"):
        lease = Lease(path)
        if not path.with_suffix("").is_dir() and lease.claim():
            try:
                lease.forget()
            finally:
                lease.release()


class ReadWriteLock:
    """Who uses a lab together, and who uses it alone.

    Two locks: whoever wants to be alone closes the gate first, so that those who come later
    wait before it, and then waits for those that are inside.
    """

    def __init__(self, path: Path) -> None:
        self._gate = path.with_name(f"{path.name}.gate")
        self._room = path.with_name(f"{path.name}.room")

    @contextlib.contextmanager
    def together(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Be inside with others; `waiting` is called when somebody is alone inside."""
        with contextlib.ExitStack() as inside:
            with _held(self._gate, fcntl.LOCK_SH, waiting):
                inside.enter_context(_held(self._room, fcntl.LOCK_SH, _silently))
            yield

    @contextlib.contextmanager
    def alone(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Be inside alone; `waiting` is called when others are inside."""
        with (
            _held(self._gate, fcntl.LOCK_EX, waiting),
            _held(self._room, fcntl.LOCK_EX, waiting),
        ):
            yield

    def forget(self) -> None:
        """Remove the files, unless somebody is inside or at the gate."""
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


def _acquire(path: Path, kind: int, waiting: Callable[[], None] | None = None) -> int | None:
    """The open file with its lock; None when somebody has it and there is nobody to tell so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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


def _is_free(path: Path) -> bool:
    """Whether nobody holds the lock at this moment; makes no file."""
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
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
    """Whether the file of that name is the one that is open."""
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)


def _remove(handle: int, path: Path) -> None:
    """Remove a file whose lock one holds exclusively; one that cannot be removed does no harm."""
    with contextlib.suppress(OSError):
        os.ftruncate(handle, 0)
        if _is_at(handle, path):
            path.unlink()


def _silently() -> None:
    """Wait without a word."""


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
