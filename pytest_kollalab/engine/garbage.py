"""Garbage: resources of labs and runs that nothing uses any more, and their removal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_kollalab.system import locks
from pytest_kollalab.system.errors import BusyError


@dataclass(frozen=True)
class Item:
    """Something that can be removed.

    Attributes:
        kind: The kind of garbage.
        what: What it is, for people.
        why: Why nothing uses it.
        age: Seconds since it was last used.
        size: Bytes, or None if finding out would take too long.
        remove: Removes it.
    """

    kind: str
    what: str
    why: str
    age: float
    size: int | None
    remove: Callable[[], None] = field(repr=False, compare=False)


# Searches for garbage, by the kind of garbage that each finds.
Searches = Mapping[str, Callable[[], Iterator[Item]]]


@dataclass(frozen=True)
class InUse:
    """The shared resources that labs and known configurations use.

    Attributes:
        keys: Keys of shared stages, by the name of the stage.
        tags: Tags of sets of images.
        images: Names of images in docker.
    """

    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()

    def __or__(self, other: InUse) -> InUse:
        """The resources that one or the other uses."""
        names = {*self.keys, *other.keys}
        keys = {name: self.of(name) | other.of(name) for name in names}
        return InUse(keys, self.tags | other.tags, self.images | other.images)

    def of(self, stage: str) -> frozenset[str]:
        """The keys of a stage that are in use."""
        return self.keys.get(stage, frozenset())


class Delete:
    """Deletes files and folders while holding a lock.

    Args:
        paths: The files and folders.
        guard: The lock file of those who create such files.
    """

    def __init__(self, paths: Iterable[Path], guard: Path) -> None:
        self.paths = tuple(paths)
        self.guard = guard

    def __call__(self) -> None:
        with locks.exclusive(self.guard, "collect garbage", timeout=10, removes=True):
            for path in self.paths:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock. The lock file may exist without a holder."""
    if not path.exists():
        return False
    try:
        with locks.exclusive(path, "look for garbage", timeout=0):
            return False
    except BusyError:
        return True


def size_of(path: Path) -> int:
    """The disk space in bytes that a file, or all files below a folder, take."""
    if path.is_symlink() or path.is_file():
        return path.lstat().st_blocks * 512
    return sum(each.lstat().st_blocks * 512 for each in path.rglob("*") if not each.is_dir())
