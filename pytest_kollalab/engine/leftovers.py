"""Leftovers of killed runs on this host that carry no lab's tag: processes, files and sockets."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from pytest_kollalab.engine import runs
from pytest_kollalab.system import locks, process, temporary
from pytest_kollalab.system.errors import if_writable
from pytest_kollalab.system.paths import Paths

# Seconds that a process has to clean up after it was asked to end.
END_TIMEOUT = 10.0
# The end of the command line of an ssh process that keeps a shared connection open. It ends by
# itself or with the nodes.
SHARED_CONNECTION = "[mux]"


def remove(paths: Paths, say: Callable[[str], None]) -> None:
    """End orphaned processes, then remove temporary files, dead sockets and unused leases."""
    end(orphans(), say)
    for path in files(paths):
        with if_writable():
            temporary.remove_file(path)
    with if_writable():
        locks.forget_absent(paths.state / "labs")


def orphans() -> list[int]:
    """Processes whose run has ended, except shared SSH connections, which end by themselves."""
    return [
        pid for pid in process.orphans() if not process.command(pid).endswith(SHARED_CONNECTION)
    ]


def end(pids: list[int], say: Callable[[str], None]) -> None:
    """Ask processes to end, and kill those that do not."""
    if not pids:
        return
    say(f"ending {len(pids)} process{'es' if len(pids) > 1 else ''} that a killed run left behind")
    process.end(pids, END_TIMEOUT)


def files(paths: Paths) -> Iterator[Path]:
    """Temporary files and folders of ended processes, and sockets without a listener."""
    for root in (paths.cache, paths.state):
        yield from temporary.abandoned(root)
    yield from runs.abandoned(paths)
    yield from _sockets()


def _sockets() -> Iterator[Path]:
    """Sockets of shared SSH connections without a listener."""
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
