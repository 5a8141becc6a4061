"""The transfer of blobs between this host and a place: several at once, each checked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pytest_kollalab.stages.golden.artifact import Blob, digest_of_file
from pytest_kollalab.stages.golden.layout import Folder
from pytest_kollalab.stages.golden.place import Place
from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError

AT_ONCE = 6
MIB = 2**20
# A line of progress for each of so many parts.
TOLD = 4
PART = ".part"


class Tally:
    """Counts the bytes that have come or gone, and says each quarter.

    Args:
        total: All bytes.
        what: What is moved, for the line.
        say: Shows a line of progress.
    """

    def __init__(self, total: int, what: str, say: Callable[[str], None]) -> None:
        self.total = total
        self.done = 0
        self._what = what
        self._say = say
        self._told = 0
        self._lock = threading.Lock()

    def moved(self, size: int) -> None:
        """Note bytes; less than zero if some have to come again."""
        with self._lock:
            self.done += size
            part = self.done * TOLD // self.total if self.total > MIB else 0
            if self._told < part < TOLD:
                self._told = part
                self._say(f"{self._what}: {self.done // MIB} of {self.total // MIB} MiB")


def download(
    place: Place, blobs: Iterable[Blob], cache: Folder, say: Callable[[str], None]
) -> None:
    """Have blobs in a folder. What came of a blob before an error or a kill is not asked for again.

    Args:
        place: Where they are.
        blobs: The blobs.
        cache: The folder. Nobody else downloads into it.
        say: Shows a line of progress.

    Raises:
        StageError: The place does not give all of them, or others than their digests say.
    """
    missing = [blob for blob in blobs if not cache.has(blob)]
    tally = Tally(sum(blob.size for blob in missing), "fetched", say)

    def one(blob: Blob) -> None:
        path = cache.path(blob.digest)
        part = path.with_name(f"{path.name}{PART}")
        if part.exists():
            tally.moved(part.stat().st_size)
        place.get(blob, part, tally.moved)
        point("fetch:downloading")
        found = digest_of_file(part)
        if found != blob.digest:
            # Whoever asks next begins anew.
            part.unlink()
            raise StageError(
                f"{place} has something else under {blob.digest}",
                details=f"what came has the digest {found}, {blob.size} bytes were announced",
                hint="push the golden state again, with --replace",
            )
        part.replace(path)

    cache.path("").mkdir(parents=True, exist_ok=True)
    # The largest first: the end is then short.
    _each(one, sorted(missing, key=lambda blob: -blob.size), f"{place} did not give all blobs")


def upload(place: Place, blobs: Mapping[Blob, Path], say: Callable[[str], None]) -> tuple[int, int]:
    """Have blobs in a place. What is there already is not sent.

    Args:
        place: The place.
        blobs: The file of each blob.
        say: Shows a line of progress.

    Returns:
        The number of bytes that were sent, and of those that were there.

    Raises:
        StageError: The place did not take all of them.
    """
    with_digest = list(blobs)
    there = dict(zip(with_digest, _ask(place, with_digest), strict=True))
    missing = [blob for blob in with_digest if not there[blob]]
    tally = Tally(sum(blob.size for blob in missing), "pushed", say)

    def one(blob: Blob) -> None:
        place.put(blob, blobs[blob], tally.moved)
        point("push:uploading")

    _each(one, sorted(missing, key=lambda blob: -blob.size), f"{place} did not take all blobs")
    total = sum(blob.size for blob in with_digest)
    return tally.total, total - tally.total


def _ask(place: Place, blobs: list[Blob]) -> list[bool]:
    from pytest_kollalab.system.threads import Threads

    with Threads(AT_ONCE) as pool:
        jobs = [pool.submit(place.has, blob) for blob in blobs]
    return [job.result() for job in jobs]


def _each(act: Callable[[Blob], None], blobs: list[Blob], brief: str) -> None:
    moving = Attempts()
    failed = threading.Event()

    def unless_failed(blob: Blob) -> None:
        # The first failure ends it: a registry that is gone is not asked for each blob.
        if failed.is_set():
            return
        try:
            act(blob)
        except BaseException:
            failed.set()
            raise

    moving.each(unless_failed, blobs, at_once=AT_ONCE)
    moving.check(brief)
