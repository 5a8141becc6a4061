"""The folders on the host: the cache, which labs share, and the state, which has each lab."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.system.errors import ConfigError, HostError

WRITE = os.W_OK | os.X_OK
# Separators and quotes of search paths, configuration files and scripts. All other characters are
# quoted where they have to be.
UNUSABLE = re.compile(r"""[:;,"'`$\\{}\x00-\x1f\x7f]""")


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
    """The folders in KOLLALAB_CACHE and KOLLALAB_STATE, or else those of the XDG standard.

    A `~` is expanded, and a relative folder counts from the current one.

    Raises:
        ConfigError: The path of a folder has characters that a program in use cannot cope with, or
            there is no home folder.
    """
    return Paths(
        cache=_folder("KOLLALAB_CACHE", "XDG_CACHE_HOME", "~/.cache"),
        state=_folder("KOLLALAB_STATE", "XDG_STATE_HOME", "~/.local/state"),
    )


def expanded(path: str | Path) -> Path:
    """A path with `~` and `~user` expanded.

    Raises:
        ConfigError: There is no such user or no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"the path {path} cannot be used", details=str(error), hint="write it without ~"
        ) from error


def _folder(variable: str, xdg: str, default: str) -> Path:
    named = os.environ.get(variable, "")
    base = os.environ.get(xdg, "")
    # By the standard, a relative path in an XDG variable is ignored.
    below = Path(base if Path(base).is_absolute() else default, "kollalab")
    # Not resolved: a folder may be reached through a link on purpose.
    try:
        folder = Path(os.path.normpath(expanded(named or below).absolute()))
    except ConfigError as error:
        hint = f"set HOME, or {variable} to a folder"
        raise ConfigError(error.brief, details=error.details, hint=hint) from error
    if found := sorted(set(UNUSABLE.findall(str(folder)))):
        raise ConfigError(
            f"{folder} cannot be used: its path has {' and '.join(map(repr, found))}",
            details="Ansible, ssh or a Python script would read that as something else",
            hint=f"set {variable} to another folder",
        )
    return folder
