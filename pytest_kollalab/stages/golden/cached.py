"""What was fetched of golden states: an image layout in the cache, and what may go from it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pytest_kollalab.engine.garbage import Item, is_held, size_of
from pytest_kollalab.stages.golden import artifact
from pytest_kollalab.stages.golden.layout import Folder
from pytest_kollalab.stages.golden.signature import SUFFIX
from pytest_kollalab.system import files, locks
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths

# In the cache: the layout, and the lock of who fetches.
FOLDER, LOCK = "golden", "golden.lock"


def cached(cache: Path) -> Folder:
    """The folder in the cache with what was fetched."""
    return Folder(cache / FOLDER)


def used(cache: Path, key: str) -> None:
    """Note that a golden state is used now."""
    folder = cached(cache)
    with suppress(StageError):
        digest = folder.tags().get(key)
        if digest is not None:
            files.used(folder.path(digest))


def garbage(paths: Paths, older_than: float) -> Iterator[Item]:
    """The golden states that were fetched and not used for so many seconds, and broken downloads.

    Args:
        paths: Folders for state and cache.
        older_than: Seconds since the last use.
    """
    folder = cached(paths.cache)
    if not folder.root.is_dir() or is_held(paths.cache / LOCK):
        return
    tags = folder.tags()
    ages = {tag: _age(folder.path(digest)) for tag, digest in tags.items()}
    old = [tag for tag, age in ages.items() if age >= older_than and not tag.endswith(SUFFIX)]
    for tag in sorted(old):
        size = sum(size_of(path) for path in unneeded(folder, [tag]))
        why = "a golden state that was fetched, which nothing started from"
        yield Item("golden", tag, why, ages[tag], size, _Forget(paths.cache, [tag]))
    rest = [path for path in unneeded(folder, []) if _age(path) >= older_than]
    if rest:
        size = sum(map(size_of, rest))
        why = "parts of golden states that were not fetched to their end"
        yield Item("golden", "parts", why, min(map(_age, rest)), size, _Forget(paths.cache, []))


def unneeded(folder: Folder, tags: Sequence[str]) -> list[Path]:
    """The blobs that no golden state needs when these tags are gone, and parts of blobs."""
    gone = {*tags, *(f"{tag}{SUFFIX}" for tag in tags)}
    kept: set[str] = set()
    for tag, digest in folder.tags().items():
        if tag not in gone:
            kept.add(digest)
            text = folder.path(digest).read_bytes()
            kept |= {blob.digest for blob in artifact.read_manifest(text, tag).blobs}
    names = {digest.removeprefix(artifact.ALGORITHM) for digest in kept}
    there = folder.path("")
    return [path for path in there.iterdir() if path.name not in names] if there.is_dir() else []


class _Forget:
    """Removes fetched golden states, with what only they need."""

    def __init__(self, cache: Path, tags: Sequence[str]) -> None:
        self.cache = cache
        self.tags = tags

    def __call__(self) -> None:
        folder = cached(self.cache)
        with locks.exclusive(self.cache / LOCK, "collect garbage", timeout=10, removes=True):
            for tag in self.tags:
                folder.forget(tag)
                folder.forget(f"{tag}{SUFFIX}")
            for path in unneeded(folder, []):
                path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    try:
        return time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
