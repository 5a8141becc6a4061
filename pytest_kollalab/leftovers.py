"""Leftovers: what a killed run left on this host besides the resources that carry a lab's tag."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from pytest_kollalab import lock, owner, session
from pytest_kollalab.errors import WaitError
from pytest_kollalab.paths import Paths
from pytest_kollalab.run import run
from pytest_kollalab.wait import until

# What ends politely takes away what it mounted and made.
END_TIMEOUT = 10.0
# What ssh calls itself when it keeps a connection for later commands; it ends by itself, or with
# the nodes.
SHARED_CONNECTION = "[mux]"
# Where temporary files are made, relative to cache and state; looked at, never descended into.
CACHED = (
    *("*", "images/*", "images/*/*", "images/*/*/*"),
    *("guest/*", "libvirt/*", "stages/*/records/*"),
)
STATED = ("*", "labs/*/*", "labs/*/*/*")


def scratch(folder: Path, what: str) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder whose name tells who made it, so that it can be known for a leftover."""
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder, prefix=f"{what}-{owner.mark()}-")


def remove(paths: Paths, say: Callable[[str], None]) -> None:
    """End orphaned processes, then remove temporary files, dead sockets and leases on nothing."""
    end(orphans(), say)
    for path in files(paths):
        remove_file(path)
    lock.forget_absent(paths.state / "labs")


def remove_file(path: Path) -> None:
    """Remove a file, or a folder with whatever is mounted in it."""
    _unmount_below(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def orphans() -> list[int]:
    """Processes of runs that are gone; shared SSH connections may outlive theirs for a while."""
    return [pid for pid in owner.orphans() if not command(pid).endswith(SHARED_CONNECTION)]


def end(pids: list[int], say: Callable[[str], None]) -> None:
    """End processes, politely first."""
    if not pids:
        return
    say(f"ending {len(pids)} process{'es' if len(pids) > 1 else ''} that a killed run left behind")
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for pid in pids:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, kind)
        with suppress(WaitError):
            until(
                "the processes have ended",
                lambda: not any(owner.runs(pid) for pid in pids) or None,
                timeout=END_TIMEOUT,
                interval=0.05,
            )
            return


def files(paths: Paths) -> Iterator[Path]:
    """Temporary files and folders whose process is gone, and sockets without a listener."""
    for root, patterns in ((paths.cache, CACHED), (paths.state, STATED)):
        for pattern in patterns:
            for path in root.glob(pattern):
                if owner.left_by_the_dead(path.name):
                    yield path
    yield from session.abandoned(paths)
    yield from _sockets()


def command(pid: int) -> str:
    """The beginning of a process's command line."""
    with suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return b" ".join(words).decode(errors="replace").strip()[:120]
    return "?"


def _sockets() -> Iterator[Path]:
    """Sockets of shared SSH connections that nobody listens at any more."""
    for path in Path("/tmp").glob(f"kollalab-{os.getuid()}/*"):
        if not path.is_socket():
            continue
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                yield path
            except OSError:
                continue


def _unmount_below(folder: Path) -> None:
    # Nothing of ours mounts on purpose; what makes root file systems does, in a mount namespace
    # of its own where the kernel lets it.
    with Path("/proc/self/mountinfo").open(encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    for point in reversed([p for p in points if Path(p).is_relative_to(folder)]):
        run(["umount", "--lazy", point], check=False)
