"""Where things live on the host: the cache (shared, kept) and the state (per lab)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.system.errors import HostError

WRITE = os.W_OK | os.X_OK


@dataclass(frozen=True)
class Paths:
    """The two roots; `cache` may be deleted at a price in time, `state` only with its labs."""

    cache: Path
    state: Path

    def shared(self, stage: str) -> Path:
        """The folder of a stage that all labs share; its records are in `records` below it."""
        return self.cache / "stages" / stage

    def shared_lock(self, stage: str) -> Path:
        """The lock of a stage that all labs share."""
        return self.cache / "stages" / f"{stage}.lock"

    def lab(self, name: str) -> Path:
        """The folder of one lab: records, keys, passwords, logs (0700)."""
        return self.state / "labs" / name


def check_writable(folder: Path, variable: str) -> None:
    """Raise HostError unless a folder, which may not exist yet, can be written.

    `variable` is the name of the environment variable that would name another one.
    """
    there = next(each for each in (folder, *folder.parents) if each.exists())
    if not there.is_dir() or not os.access(there, WRITE):
        raise HostError(
            f"{folder} cannot be written",
            details=f"{there} is not a folder that this user may write to"
            if there != folder
            else "it is read-only, or belongs to another user",
            hint=f"give this user the folder, or set {variable} to another one",
        )


def default_paths() -> Paths:
    """KOLLALAB_CACHE and KOLLALAB_STATE, or the folders of the XDG base directory standard."""
    home = Path.home()
    cache = os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    state = os.environ.get("XDG_STATE_HOME") or str(home / ".local" / "state")
    return Paths(
        cache=Path(os.environ.get("KOLLALAB_CACHE") or Path(cache, "kollalab")),
        state=Path(os.environ.get("KOLLALAB_STATE") or Path(state, "kollalab")),
    )
