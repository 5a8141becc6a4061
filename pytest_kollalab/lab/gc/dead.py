"""Finds processes, temporary files and sockets that killed runs left on this host."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

from pytest_kollalab.engine import leftovers
from pytest_kollalab.engine.garbage import Item, size_of
from pytest_kollalab.system import process, temporary
from pytest_kollalab.system.paths import Paths

WHY = "the run that it belongs to is gone"


def runs(paths: Paths) -> Iterator[Item]:
    """Orphaned processes, and temporary files and sockets of runs that have ended."""
    for pid in leftovers.orphans():
        remove = functools.partial(leftovers.end, [pid], _quiet)
        what = f"process {pid}: {process.command(pid)}"
        yield Item("run", what, WHY, process.age(pid), None, remove)
    for path in leftovers.files(paths):
        age = time.time() - path.lstat().st_mtime
        remove = functools.partial(temporary.remove_file, path)
        yield Item("run", str(path), WHY, age, size_of(path), remove)


def _quiet(_text: str) -> None:
    """Show nothing, since the list of garbage has named the process already."""
