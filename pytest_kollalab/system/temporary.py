"""Temporary folders whose name tells who made them, and the removal of folders."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pytest_kollalab.system import process
from pytest_kollalab.system.run import run

# How many folders below cache or state temporary files may lie; deeper down nobody looks for them.
DEPTH = 4
# What ends in the mark of a process is its own: only temporary files have more of a name behind it.
NAMED = re.compile(rf"{process.MARK.pattern}[-.]")


def scratch(folder: Path, what: str) -> tempfile.TemporaryDirectory[str]:
    """A temporary folder whose name tells who made it, so that it can be known for a leftover.

    It is found by `abandoned` when it lies at most `DEPTH` names below the cache or the state.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder, prefix=f"{what}-{process.mark()}-")


def abandoned(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The temporary files and folders below a folder whose process is gone."""
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if NAMED.search(entry.name) and process.left_by_the_dead(entry.name):
                yield Path(entry.path)
            elif depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from abandoned(Path(entry.path), depth - 1)


def remove_file(path: Path) -> None:
    """Remove a file, or a folder with whatever is mounted in it."""
    _unmount_below(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _unmount_below(folder: Path) -> None:
    # Nothing of ours mounts on purpose; what makes root file systems does, in a mount namespace
    # of its own where the kernel lets it.
    with Path("/proc/self/mountinfo").open(encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    for point in reversed([p for p in points if Path(p).is_relative_to(folder)]):
        run(["umount", "--lazy", point], check=False)
