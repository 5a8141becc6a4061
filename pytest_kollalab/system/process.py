"""Marks that name the owning process of files and child processes, and what they tell of it.

A mark has the PID and the start time of its process, and a place in which they mean something: the
host, its boot, and the namespaces of PIDs and of time. Of a process in another place it may be
impossible to tell whether it still runs. Then it counts as running, and nothing of it is touched.
"""

from __future__ import annotations

import functools
import os
import re
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass
from pathlib import Path

from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import until

# Set in the environment of every process that is started here. Their child processes inherit it.
# Not KOLLALAB_OWNER: version 0.1.0 ends every process with a mark in it that it cannot read.
VARIABLE = "KOLLALAB_STARTED_BY"
# Must not match names of versions or images: files with the mark of an ended process are removed.
# Marks of older versions have no place.
MARK = re.compile(r"pid(\d+)\.(\d+)(?:_([0-9a-f]{8})([0-9a-f]{8})([0-9a-f]{8})([0-9a-f]{8}))?")
UNKNOWN = "0" * 8
# The namespace of PIDs that sees all others (include/linux/proc_ns.h).
INITIAL = f"{0xEFFFFFFC:08x}"
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
    """Whether the process with this mark is known to be running."""
    return _judge(MARK.fullmatch(name)) is True


def left_by_the_dead(text: str) -> bool:
    """Whether a name contains the mark of a process that is known to have ended."""
    return _judge(MARK.search(text)) is False


def living(text: str) -> int:
    """The PID of the process whose mark a name contains.

    It is 0 if that process has ended, or has another PID in this namespace.
    """
    match = MARK.search(text)
    is_here = match is not None and match.groups()[2:] == astuple(place())
    return int(match[1]) if match is not None and is_here and _judge(match) else 0


def orphans() -> list[int]:
    """The PIDs of this user's processes whose owner is known to have ended."""
    return [pid for pid, owner in _owned() if left_by_the_dead(owner)]


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


def having_open(path: Path) -> list[int]:
    """The PIDs of other processes that have a file open, as far as this user may see."""
    import psutil

    found = []
    for each in psutil.process_iter():
        # It may have ended meanwhile or belong to another user.
        with suppress(psutil.Error, OSError):
            if each.pid != os.getpid() and any(o.path == str(path) for o in each.open_files()):
                found.append(each.pid)
    return sorted(found)


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


@dataclass(frozen=True)
class Place:
    """Where a PID and a start time mean something; each is eight hexadecimal digits.

    Attributes:
        host: Of the host's machine ID and name. Zeros if it has none.
        boot: Of the boot ID of its kernel.
        pids: The namespace of PIDs.
        time: The namespace of time.
    """

    host: str
    boot: str
    pids: str
    time: str


@functools.cache
def place() -> Place:
    """The place of this process."""
    machine = _text("/etc/machine-id").strip()
    return Place(
        host=_hash(machine, socket.gethostname()) if machine else UNKNOWN,
        boot=_hash(_text("/proc/sys/kernel/random/boot_id").strip()),
        pids=_namespace("self", "pid") or UNKNOWN,
        time=_namespace("self", "time") or UNKNOWN,
    )


def _judge(match: re.Match[str] | None) -> bool | None:
    """Whether the process of a mark runs, or None if that cannot be told."""
    if match is None or match[3] is None:
        return None
    pid, start, there, here = int(match[1]), match[2], Place(*match.groups()[2:]), place()
    if match[0] == mark():
        return True
    if there.boot != here.boot:
        # Either this host was started again, or it is another host with the same files.
        return False if there.host == here.host != UNKNOWN else None
    if there.time != here.time or UNKNOWN in (there.pids, here.pids) or not _proc_is_ours():
        return None
    if there.pids == here.pids:
        return _start(pid) == start
    return _runs_inside(pid, start, there.pids)


def _runs_inside(pid: int, start: str, namespace: str) -> bool | None:
    """Whether a process runs that has this PID in another namespace, or None if it is unseen."""
    # Of a namespace below ours, and only of such a one, /proc has the processes.
    seen = place().pids == INITIAL and Path("/proc/1/status").exists()
    unsure = False
    for folder in Path("/proc").glob("[0-9]*"):
        inner = re.search(r"^NSpid:(?:\s+\d+)+\s+(\d+)$", _text(folder / "status"), re.MULTILINE)
        if inner is None:
            continue  # it has ended, or is in our namespace
        found = _namespace(folder.name, "pid")
        seen = seen or found == namespace
        if int(inner[1]) == pid and _start(folder.name) == start:
            if found == namespace:
                return True
            unsure = unsure or not found
    return None if unsure or not seen else False


def _proc_is_ours() -> bool:
    # After `unshare --pid` without `--mount-proc`, /proc has the PIDs of another namespace.
    return _own_number() == os.getpid()


def _own_number() -> int:
    return int(Path("/proc/self").readlink().name)


def _namespace(process: str, kind: str) -> str:
    """The number of a process's namespace, or an empty string if it cannot be read."""
    with suppress(OSError):
        link = Path(f"/proc/{process}/ns/{kind}").readlink().name
        return f"{int(link.partition('[')[2].rstrip(']')):08x}"
    return ""


def _hash(*values: str) -> str:
    return digest(*values)[: len(UNKNOWN)]


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _owned() -> list[tuple[int, str]]:
    import psutil

    found, own = [], _own_number()
    for each in psutil.process_iter():
        # It may have ended meanwhile or belong to another user.
        with suppress(psutil.Error, OSError):
            owner = each.environ().get(VARIABLE)
            if owner and each.pid != own:
                found.append((each.pid, owner))
    return found


@functools.cache
def _mark(pid: int) -> str:
    # Not of /proc/PID, where another process may be.
    return f"pid{pid}.{_start('self')}_{''.join(astuple(place()))}"


def _start(pid: int | str) -> str | None:
    # The start time in ticks since the host was started. psutil's create_time() would change when
    # the clock is set, and psutil is slow to import. The name of the program, in parentheses, may
    # contain spaces and parentheses.
    fields = _text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return fields[START] if fields and fields[STATE] not in DEAD else None
