"""The owner: which process something belongs to, and whether that process still lives."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path

# In the environment of every process that we start, and of all that those start.
VARIABLE = "KOLLALAB_OWNER"
# Unlike anything in the name of a version or an image: what carries a dead one is removed.
MARK = re.compile(r"pid(\d+)\.(\d+)")
STATE, START = 0, 19
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
    started = _start(pid)
    if started is None:
        return 0.0
    up = float(Path("/proc/uptime").read_text(encoding="ascii").split()[0])
    return up - int(started) / os.sysconf("SC_CLK_TCK")


def _owned() -> list[tuple[int, str]]:
    key = f"{VARIABLE}=".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        pid = int(path.parent.name)
        if pid == os.getpid():
            continue
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue  # it has ended meanwhile, or is not ours to look into
        owners = [word[len(key) :].decode() for word in words if word.startswith(key)]
        if owners and runs(pid):
            found.append((pid, owners[-1]))
    return found


@functools.cache
def _mark(pid: int) -> str:
    return f"pid{pid}.{_start(pid)}"


def _start(pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name of the program comes first, in parentheses, and may contain anything.
    fields = text.rpartition(")")[2].split()
    return fields[START] if fields[STATE] not in DEAD else None
