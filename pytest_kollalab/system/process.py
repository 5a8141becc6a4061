"""Marks that name the owning process of files and child processes, and what they tell of it."""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import until

# Set in the environment of every process that is started here. Their child processes inherit it.
VARIABLE = "KOLLALAB_OWNER"
# Must not match names of versions or images: files with the mark of an ended process are removed.
MARK = re.compile(r"pid(\d+)\.(\d+)")
STATE, START = 0, 19
COMMAND_CHARACTERS = 120
DEAD = ("Z", "X")


def mark() -> str:
    """The unique mark of this process. A PID alone may be used again."""
    return _mark(os.getpid())


def environment() -> dict[str, str]:
    """The variables to add to the environment of a process that is started here."""
    return {VARIABLE: mark()}


def lives(name: str) -> bool:
    """Whether the process with this mark is running."""
    match = MARK.fullmatch(name)
    return match is not None and _start(int(match[1])) == match[2]


def left_by_the_dead(text: str) -> bool:
    """Whether a name contains the mark of a process that has ended."""
    match = MARK.search(text)
    return match is not None and not lives(match[0])


def living(text: str) -> int:
    """The PID of the process whose mark a name contains, or 0 if it has ended."""
    match = MARK.search(text)
    return int(match[1]) if match is not None and lives(match[0]) else 0


def orphans() -> list[int]:
    """The PIDs of this user's processes whose owner has ended."""
    return [pid for pid, owner in _owned() if not lives(owner)]


def children() -> list[int]:
    """The PIDs of the processes that this one started, and of their child processes."""
    mine = mark()
    return [pid for pid, owner in _owned() if owner == mine]


def runs(pid: int) -> bool:
    """Whether a process is running."""
    return _start(pid) is not None


def age(pid: int) -> float:
    """Seconds since a process was started, or 0 if there is no such process."""
    import psutil

    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def command(pid: int) -> str:
    """The beginning of a process's command line, or `?` if it cannot be read."""
    import psutil

    with suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline()).strip()[:COMMAND_CHARACTERS]
    return "?"


def end(pids: Iterable[int], timeout: float) -> None:
    """Ask processes to end, and kill those that still run after `timeout` seconds."""
    import psutil

    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    # psutil does not signal another process that was given the same PID meanwhile. Its own wait is
    # not used because it also waits for zombies, which may never be reaped.
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for each in found:
            with suppress(psutil.Error):
                send(each)
        with suppress(WaitError):
            until(
                "the processes have ended",
                lambda: not any(runs(each.pid) for each in found) or None,
                timeout=timeout,
                interval=0.05,
            )
            return


def _owned() -> list[tuple[int, str]]:
    import psutil

    found = []
    for each in psutil.process_iter():
        # It may have ended meanwhile or belong to another user.
        with suppress(psutil.Error, OSError):
            owner = each.environ().get(VARIABLE)
            if owner and each.pid != os.getpid():
                found.append((each.pid, owner))
    return found


@functools.cache
def _mark(pid: int) -> str:
    return f"pid{pid}.{_start(pid)}"


def _start(pid: int) -> str | None:
    # The start time in ticks since the host was started. psutil's create_time() would change when
    # the clock is set, and psutil is slow to import.
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program, in parentheses, may contain spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    return fields[START] if fields[STATE] not in DEAD else None
