"""Whether a lab is kept: labs that sessions of pytest make go with them, all others stay."""

from __future__ import annotations

from pathlib import Path

from pytest_kollalab.system import files

# In the folder of a lab that goes with the sessions that use it.
PASSING = "passing"


def is_kept(folder: Path) -> bool:
    """Whether a lab exists that no session made for itself alone.

    Args:
        folder: The state folder of the lab.
    """
    return exists(folder) and not (folder / PASSING).exists()


def exists(folder: Path) -> bool:
    """Whether a lab has a record of one of its own stages, nodes or cloud."""
    return folder.is_dir() and any(folder.glob("*.json"))


def names(state: Path) -> list[str]:
    """The names of the labs that exist, sorted.

    Args:
        state: The folder for state.
    """
    return sorted(path.name for path in (state / "labs").glob("*") if exists(path))


def make_passing(folder: Path) -> None:
    """Note of a lab that does not exist yet that it goes with the session that makes it."""
    if not exists(folder):
        files.private(folder)
        (folder / PASSING).touch()


def keep(folder: Path) -> None:
    """Note that a lab stays until somebody removes it."""
    (folder / PASSING).unlink(missing_ok=True)
