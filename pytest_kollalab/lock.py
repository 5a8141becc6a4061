"""File locks: one exclusive lock for changes, one shared lease for use."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pytest_kollalab.errors import BusyError

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
    if not path.exists():
        return ""
    with _held(path) as handle:
        if _try(handle, fcntl.LOCK_EX):
            return ""
    return str(_read(path).get("what", ""))


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
    when its holder dies, however it dies. `timeout` is in seconds. Raises BusyError when the
    holder does not let go.
    """
    handle = _open(path)
    try:
        started = time.monotonic()
        deadline = started + timeout
        told = ""
        while not _try(handle, fcntl.LOCK_EX):
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
        table = {
            "pid": os.getpid(),
            "worker": os.environ.get(WORKER, ""),
            "what": what,
            "since": time.strftime("%H:%M:%S"),
            "log": str(log or ""),
        }
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(table).encode(), 0)
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
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
        handle = _open(self.path)
        try:
            if not _try(handle, fcntl.LOCK_SH):
                if waiting is not None:
                    waiting()
                fcntl.flock(handle, fcntl.LOCK_SH)
        except BaseException:
            os.close(handle)
            raise
        self._handle = handle
        self._own = _open(self._path_of(self.run))
        fcntl.flock(self._own, fcntl.LOCK_SH)

    def others(self) -> bool:
        """Whether a process of another run holds the lease."""
        mine = self._path_of(self.run)
        for path in self.path.parent.glob(self._path_of("*").name):
            if path != mine:
                with _held(path) as handle:
                    if not _try(handle, fcntl.LOCK_EX):
                        return True
        return False

    def forget(self) -> None:
        """Remove the traces of earlier runs; only who has claimed the lease may."""
        for path in self.path.parent.glob(self._path_of("*").name):
            path.unlink(missing_ok=True)

    def claim(self) -> bool:
        """Have the lease for oneself alone, until it is released.

        False when somebody else holds it; then one's own hold is gone too, so that of several
        who leave, the last one can have it. Callers hold the lab's lock.
        """
        if self._handle is None:
            self._handle = _open(self.path)
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
        if not self.path.exists():
            return False
        probe = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        mine = self._handle is not None
        try:
            # Our own shared hold would get in the way of the exclusive try: convert it instead.
            # A conversion that fails may drop the old hold, so it is taken again either way.
            handle = self._handle if self._handle is not None else probe
            alone = _try(handle, fcntl.LOCK_EX)
            if mine:
                fcntl.flock(handle, fcntl.LOCK_SH)
            return not alone
        finally:
            os.close(probe)


class Turns:
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
        with _held(self._room) as room:
            with _held(self._gate) as gate:
                _wait(gate, fcntl.LOCK_SH, waiting)
                fcntl.flock(room, fcntl.LOCK_SH)
            yield

    @contextlib.contextmanager
    def alone(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Be inside alone; `waiting` is called when others are inside."""
        with _held(self._gate) as gate, _held(self._room) as room:
            _wait(gate, fcntl.LOCK_EX, waiting)
            _wait(room, fcntl.LOCK_EX, waiting)
            yield


@contextlib.contextmanager
def _held(path: Path) -> Iterator[int]:
    handle = _open(path)
    try:
        yield handle
    finally:
        os.close(handle)


def _wait(handle: int, kind: int, waiting: Callable[[], None]) -> None:
    if not _try(handle, kind):
        waiting()
        fcntl.flock(handle, kind)


def _open(path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


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
