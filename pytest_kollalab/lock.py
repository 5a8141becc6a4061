"""File locks: one exclusive lock for changes, one shared lease for use."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_kollalab.errors import BusyError


def holder(path: Path) -> str:
    """Who wrote into the lock file last, as text."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        return f"process {table['pid']} ({table['what']}, since {table['since']})"
    except (OSError, ValueError, KeyError):
        return "another process"


@contextlib.contextmanager
def exclusive(
    path: Path,
    what: str,
    *,
    timeout: float = 7200.0,
    waiting: Callable[[str], None] | None = None,
) -> Iterator[None]:
    """Hold the lock while the body runs; `waiting` is told once whom this process waits for.

    The kernel releases the lock when its holder dies, however it dies. `timeout` is in seconds.
    Raises BusyError when the holder does not let go.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + timeout
        told = False
        while not _try(handle, fcntl.LOCK_EX):
            if not told and waiting is not None:
                waiting(f"waiting for {holder(path)} to finish")
                told = True
            if time.monotonic() >= deadline:
                raise BusyError(
                    f"{path.name} is still locked after {timeout:.0f} s",
                    details=f"held by {holder(path)}",
                    hint="wait for it, or stop that process",
                )
            time.sleep(0.2)
        since = time.strftime("%H:%M:%S")
        os.ftruncate(handle, 0)
        os.pwrite(
            handle, json.dumps({"pid": os.getpid(), "what": what, "since": since}).encode(), 0
        )
        try:
            yield
        finally:
            os.ftruncate(handle, 0)
    finally:
        os.close(handle)


class Lease:
    """A shared hold on a lab: as long as somebody has one, nobody else destroys the lab."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = None

    def take(self) -> None:
        """Take the lease; taking it twice is the same as once."""
        if self._handle is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(handle, fcntl.LOCK_SH)
            self._handle = handle

    def release(self) -> None:
        """Let go."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

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


def _try(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
