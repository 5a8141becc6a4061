"""The owner: which process something belongs to, and whether that process still lives."""

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

# In the environment of every process that we start, and of all that those start.
VARIABLE = "KOLLALAB_OWNER"
# Unlike anything in the name of a version or an image: what carries a dead one is removed.
MARK = re.compile(r"pid(\d+)\.(\d+)")
STATE, START = 0, 19
COMMAND_CHARACTERS = 120
DEAD = ("Z", "X")


def mark() -> str:
    """What names this process for good: a pid alone is used again."""
    return _mark(os.getpid())


def environment() -> dict[str, str]:
    """What the environment of a process of ours has in addition."""
    return {VARIABLE: mark()}


def lives(name: str) -> bool:
    """Whether the process that a mark names is still there."""
    match = MARK.fullmatch(name)
    return match is not None and _start(int(match[1])) == match[2]


def left_by_the_dead(text: str) -> bool:
    """Whether a name contains the mark of a process, and that process is gone."""
    match = MARK.search(text)
    return match is not None and not lives(match[0])


def living(text: str) -> int:
    """The process whose mark a name contains; 0 when that is gone."""
    match = MARK.search(text)
    return int(match[1]) if match is not None and lives(match[0]) else 0


def orphans() -> list[int]:
    """The processes whose owner is gone; those of other users cannot be seen."""
    return [pid for pid, owner in _owned() if not lives(owner)]


def children() -> list[int]:
    """The processes that this one owns, and all that they started."""
    mine = mark()
    return [pid for pid, owner in _owned() if owner == mine]


def runs(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    return _start(pid) is not None


def age(pid: int) -> float:
    """How long ago a process was started, in seconds."""
    import psutil

    try:
        return time.time() - psutil.Process(pid).create_time()
    except psutil.NoSuchProcess:
        return 0.0


def command(pid: int) -> str:
    """The beginning of a process's command line; `?` when there is none to be seen."""
    import psutil

    with suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline()).strip()[:COMMAND_CHARACTERS]
    return "?"


def end(pids: Iterable[int], timeout: float) -> None:
    """End processes: ask them first, and kill those that are there after `timeout` seconds."""
    import psutil

    found = []
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    # psutil signals no other process that got the number of one meanwhile. It does wait for the
    # zombies of others, though, which nobody may ever take away: they are ended for us.
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
        # It may have ended meanwhile, or be not ours to look into.
        with suppress(psutil.Error, OSError):
            owner = each.environ().get(VARIABLE)
            if owner and each.pid != os.getpid():
                found.append((each.pid, owner))
    return found


@functools.cache
def _mark(pid: int) -> str:
    return f"pid{pid}.{_start(pid)}"


def _start(pid: int) -> str | None:
    # In ticks since the host was started. Not psutil's create_time(), which is a time of day and
    # differs after the clock was set; and every command of ours needs it: psutil is slow to import.
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program comes first, in parentheses, and may contain anything.
    fields = text.rpartition(")")[2].split()
    return fields[START] if fields[STATE] not in DEAD else None
