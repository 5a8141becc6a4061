"""Recordings: the frames of all captures, kept for the artifacts of a test that fails."""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.on_nodes import observer

# The limit of all recorded frames together, in bytes; the oldest are dropped first.
LIMIT = 32 << 20
# The limit of a file in the artifacts, in bytes; the last frames are kept.
FILE_LIMIT = 2_000_000
FLAGS = {"in": observer.FLAGS[0], "out": observer.FLAGS[4], "by": observer.FOR_OTHERS}


@dataclass(frozen=True)
class Recorded:
    """A frame of a capture, and when it was recorded. All times are in seconds since 1970.

    Attributes:
        capture: The name of the capture.
        moment: When it was recorded, by the clock of this host.
        slack: By how many seconds `moment` may be wrong.
        told: When this host was told of it. It was recorded before that, whatever its time says.
        frame: The frame.
    """

    capture: str
    moment: float
    slack: float
    told: float
    frame: Frame

    def is_of(self, began: float, ended: float) -> bool:
        """Whether it is of a span, as far as clocks can tell."""
        if self.told < began:
            return False
        return began - self.slack <= self.moment <= ended + self.slack


class Running(Protocol):
    """A capture that goes on until the test and its fixtures have ended."""

    def pull(self) -> None:
        """Record the packets up to now."""


class Recordings:
    """The last frames of all captures; `running` are the captures that have not ended.

    Args:
        limit: The bytes of frames that are kept.
        clock: Returns the time of this host in seconds since 1970.
    """

    def __init__(self, limit: int = LIMIT, clock: Callable[[], float] = time.time) -> None:
        self.running: WeakSet[Running] = WeakSet()
        self._clock = clock
        self._limit = limit
        self._recorded: deque[Recorded] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(
        self,
        capture: str,
        frames: Iterable[Frame],
        moment: float | None = None,
        *,
        slack: float = 0.0,
    ) -> None:
        """Record frames of a capture.

        Args:
            capture: The name of the capture, which becomes the name of a file.
            frames: The frames, in order.
            moment: When it ended, if the times of the frames are not those of this host's clock.
            slack: By how many seconds the times of the frames may be wrong.
        """
        told = self._clock()
        with self._lock:
            for frame in frames:
                when = frame.time if moment is None else moment
                self._recorded.append(Recorded(capture, when, slack, told, frame))
                self._bytes += len(frame.data)
            while self._bytes > self._limit:
                self._bytes -= len(self._recorded.popleft().frame.data)

    def during(self, began: float, ended: float) -> dict[str, list[Frame]]:
        """The frames of each capture that were recorded in a span, in seconds since 1970.

        A frame that this host was told of before the span is not in it.
        """
        found: dict[str, list[Frame]] = defaultdict(list)
        with self._lock:
            for each in self._recorded:
                if each.is_of(began, ended):
                    found[each.capture].append(each.frame)
        return dict(found)


def pcapng(frames: Iterable[Frame]) -> bytes:
    """A capture file in the format pcapng, in order of time; of many frames the last are kept."""
    kept: deque[Frame] = deque()
    size = 0
    for frame in sorted(frames, key=lambda each: each.time):
        kept.append(frame)
        size += len(frame.data)
        while size > FILE_LIMIT:
            size -= len(kept.popleft().data)
    devices = list(dict.fromkeys(frame.device for frame in kept))
    return observer.pcapng(
        devices,
        (
            (devices.index(f.device), round(f.time * 1e9), FLAGS.get(f.way, 0), f.data, f.length)
            for f in kept
        ),
    )


RECORDINGS = Recordings()
