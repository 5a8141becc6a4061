"""Garbage: what labs and runs left behind and nothing uses any more, and its removal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pytest_kollalab.system import locks
from pytest_kollalab.system.errors import BusyError


@dataclass(frozen=True)
class Item:
    """Something that could go: what, why, how old (seconds), how big (bytes), and how.

    A size of None is one that cannot be told without reading all of it.
    """

    kind: str
    what: str
    why: str
    age: float
    size: int | None
    remove: Callable[[], None] = field(repr=False, compare=False)


# The searches of a stage or a provider, by the kind of garbage that each finds.
Searches = Mapping[str, Callable[[], Iterator[Item]]]


@dataclass(frozen=True)
class InUse:
    """What labs, and the configurations that are known, use of what labs share.

    `keys` are those of each shared stage by its name, `tags` those of sets of images, `images` the
    names of images in docker.
    """

    keys: Mapping[str, frozenset[str]] = field(default_factory=dict)
    tags: frozenset[str] = frozenset()
    images: frozenset[str] = frozenset()

    def __or__(self, other: InUse) -> InUse:
        """What is in use by one or the other."""
        names = {*self.keys, *other.keys}
        keys = {name: self.of(name) | other.of(name) for name in names}
        return InUse(keys, self.tags | other.tags, self.images | other.images)

    def of(self, stage: str) -> frozenset[str]:
        """The keys of a stage that are in use."""
        return self.keys.get(stage, frozenset())


class Delete:
    """Deletes files and folders while nobody builds; `guard` is the lock of who does."""

    def __init__(self, paths: Iterable[Path], guard: Path) -> None:
        self.paths = tuple(paths)
        self.guard = guard

    def __call__(self) -> None:
        with locks.exclusive(self.guard, "collect garbage", timeout=10):
            for path in self.paths:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


def is_held(path: Path) -> bool:
    """Whether a process holds the lock; a file alone says nothing."""
    if not path.exists():
        return False
    try:
        with locks.exclusive(path, "look for garbage", timeout=0):
            return False
    except BusyError:
        return True


def size_of(path: Path) -> int:
    """The bytes of a file, or of all files below a folder, as they lie on the disk."""
    if path.is_symlink() or path.is_file():
        return path.lstat().st_blocks * 512
    return sum(each.lstat().st_blocks * 512 for each in path.rglob("*") if not each.is_dir())
