"""Where things live on the host: the cache (shared, kept) and the state (per lab)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Paths:
    """The two roots; `cache` may be deleted at a price in time, `state` only with its labs."""

    cache: Path
    state: Path

    def lab(self, name: str) -> Path:
        """The folder of one lab: records, keys, passwords, logs (0700)."""
        return self.state / "labs" / name


def default_paths() -> Paths:
    """KOLLALAB_CACHE and KOLLALAB_STATE, or the folders of the XDG base directory standard."""
    home = Path.home()
    cache = os.environ.get("XDG_CACHE_HOME") or str(home / ".cache")
    state = os.environ.get("XDG_STATE_HOME") or str(home / ".local" / "state")
    return Paths(
        cache=Path(os.environ.get("KOLLALAB_CACHE") or Path(cache, "kollalab")),
        state=Path(os.environ.get("KOLLALAB_STATE") or Path(state, "kollalab")),
    )
