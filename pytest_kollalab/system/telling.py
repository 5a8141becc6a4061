"""Telling people something never stops the work: terminals are closed, pipes break, disks fill."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, cast

ERROR = 2


@contextmanager
def telling() -> Iterator[None]:
    """A block that only tells somebody something. An error of its output is ignored."""
    # A file that was closed raises a ValueError.
    with suppress(OSError, ValueError):
        yield


def redirect(handle: int) -> None:
    """Lead an output that is gone to standard error, or to nowhere if that is gone as well.

    What is left in the buffers of the output comes out there, instead of failing again and again.

    Args:
        handle: The file descriptor of the output.
    """
    if handle != ERROR and is_read(ERROR):
        os.dup2(ERROR, handle)
    else:
        silence(handle)


def silence(handle: int) -> None:
    """Lead an output that is gone to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, handle)
    os.close(nowhere)


def lenient(file: IO[str]) -> IO[str]:
    """A file whose output may end at any time: what cannot be written is left out."""
    return file if isinstance(file, _Lenient) else cast("IO[str]", _Lenient(file))


class _Lenient:
    # Not derived from a class of `io`: those close their file when they are not used any more.

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self.encoding = str(getattr(file, "encoding", "utf-8"))

    @property
    def closed(self) -> bool:
        return self._file.closed

    def fileno(self) -> int:
        return self._file.fileno()

    def isatty(self) -> bool:
        return not self.closed and self._file.isatty()

    def write(self, text: str) -> int:
        with telling():
            self._file.write(text)
        return len(text)

    def flush(self) -> None:
        with telling():
            self._file.flush()

    def close(self) -> None:
        with telling():
            self._file.close()


def is_read(handle: int) -> bool:
    """Whether a pipe or a terminal has another end; any other output counts as read."""
    poll = select.poll()
    poll.register(handle, select.POLLOUT)
    gone = select.POLLERR | select.POLLHUP | select.POLLNVAL
    return not any(found & gone for _, found in poll.poll(0))
