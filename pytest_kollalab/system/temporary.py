"""Temporary folders whose names contain the mark of their process, and their removal."""

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

# Temporary files are searched only this many levels below the cache and the state folder.
DEPTH = 4
# Names of temporary files continue after the mark. Other files of a process end with it.
NAMED = re.compile(rf"{process.MARK.pattern}[-.]")


def scratch(folder: Path, what: str) -> tempfile.TemporaryDirectory[str]:
    """Make a temporary folder whose name contains the mark of this process.

    If the process is killed, `abandoned` finds the folder, provided it is at most `DEPTH` levels
    below the cache or state folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return tempfile.TemporaryDirectory(dir=folder, prefix=f"{what}-{process.mark()}-")


def abandoned(root: Path, depth: int = DEPTH) -> Iterator[Path]:
    """The temporary files and folders of ended processes below a folder."""
    with suppress(OSError), os.scandir(root) as entries:
        for entry in entries:
            if NAMED.search(entry.name) and process.left_by_the_dead(entry.name):
                yield Path(entry.path)
            elif depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from abandoned(Path(entry.path), depth - 1)


def remove_file(path: Path) -> None:
    """Remove a file or folder. File systems mounted in a folder are unmounted first."""
    _unmount_below(path)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _unmount_below(folder: Path) -> None:
    # mmdebstrap mounts file systems, in a mount namespace of its own only if the kernel allows it.
    with Path("/proc/self/mountinfo").open(encoding="utf-8") as file:
        points = [line.split()[4] for line in file]
    for point in reversed([p for p in points if Path(p).is_relative_to(folder)]):
        run(["umount", "--lazy", point], check=False)
