"""The folders on the host: the cache, which labs share, and the state, which has each lab."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.system.errors import HostError

WRITE = os.W_OK | os.X_OK


@dataclass(frozen=True)
class Paths:
    """The root folders for cache and state.

    The cache may be deleted, but is slow to rebuild. The state must stay as long as its labs.
    """

    cache: Path
    state: Path

    def shared(self, stage: str) -> Path:
        """The folder of a shared stage. Its records are in the subfolder `records`."""
        return self.cache / "stages" / stage

    def shared_lock(self, stage: str) -> Path:
        """The lock file of a shared stage."""
        return self.cache / "stages" / f"{stage}.lock"

    def lab(self, name: str) -> Path:
        """The folder of one lab, with records, keys, passwords and logs. Its mode is 0700."""
        return self.state / "labs" / name


def check_writable(folder: Path, variable: str) -> None:
    """Check that a folder can be written, or created if it does not exist.

    Args:
        folder: The folder.
        variable: The environment variable that can name another folder, for the hint.

    Raises:
        HostError: The folder cannot be written.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir() or not os.access(there, WRITE):
        raise HostError(
            f"{folder} cannot be written",
            details=f"{there} is not a folder that this user may write to"
            if there != folder
            else "it is read-only, or belongs to another user",
            hint=f"let this user write to it, or set {variable} to another folder",
        )


def default_paths() -> Paths:
    """The folders in KOLLALAB_CACHE and KOLLALAB_STATE, or else those of the XDG standard."""
    home = Path.home()
    cache = os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    state = os.environ.get("XDG_STATE_HOME") or str(home / ".local" / "state")
    return Paths(
        cache=Path(os.environ.get("KOLLALAB_CACHE") or Path(cache, "kollalab")),
        state=Path(os.environ.get("KOLLALAB_STATE") or Path(state, "kollalab")),
    )
