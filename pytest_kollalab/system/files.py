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


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file atomically and flush it to disk. Its folder is created if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
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
    """Append a line of JSON to a file. Its folder is created if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def used(path: Path) -> None:
    """Note that a file or folder is used now, for the age that garbage collection sees.

    Does nothing if it does not exist or cannot be changed.
    """
    with contextlib.suppress(OSError):
        os.utime(path)


def existing(folder: Path) -> Path:
    """The folder, or its nearest parent that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())
