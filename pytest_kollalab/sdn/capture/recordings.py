"""Recordings: the frames of all captures, kept for the artifacts of a test that fails."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakSet

from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.on_nodes import observer

# In bytes, of all captures together: the oldest frames go first.
LIMIT = 32 << 20
# Of a file in the artifacts, its end.
FILE_LIMIT = 2_000_000
# In seconds: the clocks of nodes are not quite ours.
SLACK = 1.0
FLAGS = {"in": observer.FLAGS[0], "out": observer.FLAGS[4], "by": observer.FOR_OTHERS}


@dataclass(frozen=True)
class Recorded:
    """A frame, the capture that it is of, and when it was recorded, by the clock of this host."""

    capture: str
    moment: float
    frame: Frame


class Running(Protocol):
    """A capture that goes on until the test and its fixtures have ended."""

    def pull(self) -> None:
        """Record what was seen up to now."""


class Recordings:
    """The last frames of all captures, and those that are `running`."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.running: WeakSet[Running] = WeakSet()
        self._limit = limit
        self._recorded: deque[Recorded] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, capture: str, frames: Iterable[Frame], moment: float | None = None) -> None:
        """Record frames of a capture.

        Args:
            capture: its name, which becomes that of a file.
            frames: the frames, in order.
            moment: when it ended, where the times of the frames are not of this host's clock.
        """
        with self._lock:
            for frame in frames:
                when = frame.time if moment is None else moment
                self._recorded.append(Recorded(capture, when, frame))
                self._bytes += len(frame.data)
            while self._bytes > self._limit:
                self._bytes -= len(self._recorded.popleft().frame.data)

    def during(self, began: float, ended: float) -> dict[str, list[Frame]]:
        """The frames of each capture that were recorded in a span, in seconds since 1970."""
        found: dict[str, list[Frame]] = defaultdict(list)
        with self._lock:
            for each in self._recorded:
                if began - SLACK <= each.moment <= ended + SLACK:
                    found[each.capture].append(each.frame)
        return dict(found)


def pcapng(frames: Iterable[Frame]) -> bytes:
    """A capture file of the format pcapng, which tcpdump and Wireshark read, in order of time.

    Of a large one its last frames are kept.
    """
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
