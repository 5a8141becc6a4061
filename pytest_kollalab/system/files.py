"""Atomic writes of files, and files of JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.system import process
from pytest_kollalab.system.crash_points import point

PRIVATE = 0o700


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file atomically and flush it to disk.

    Missing folders are created; they are private if the file is.
    """
    if mode & ~PRIVATE:
        path.parent.mkdir(parents=True, exist_ok=True)
    else:
        private(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{process.mark()}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        point("record:written")
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Append a line of JSON to a private file. Its folder is created if missing."""
    private(path.parent)
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        with contextlib.suppress(OSError):
            # Whatever the umask, and also if an older version created it.
            os.fchmod(handle, 0o600)
        file.write(json.dumps(row) + "\n")


def private(folder: Path) -> None:
    """Create a folder, and those above it, if they are missing. Only this user can use them.

    Their mode is 0700 whatever the umask. What exists stays as it is.
    """
    if folder.is_dir():
        return
    private(folder.parent)
    try:
        folder.mkdir(PRIVATE)
    except FileExistsError:
        # Another process was faster.
        if not folder.is_dir():
            raise
    else:
        folder.chmod(PRIVATE)


def narrow(folder: Path) -> None:
    """Make a folder that an older version may have created private. Does nothing if not ours."""
    with contextlib.suppress(OSError):
        if folder.stat().st_mode & 0o777 != PRIVATE:
            folder.chmod(PRIVATE)


def used(path: Path) -> None:
    """Note that a file or folder is used now, for the age that garbage collection sees.

    Does nothing if it does not exist or cannot be changed.
    """
    with contextlib.suppress(OSError):
        os.utime(path)


def existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())
