"""Captures with tcpdump, which runs on a node; its output is read when it has ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property

from pytest_kollalab.sdn.capture import decode
from pytest_kollalab.sdn.capture.packets import Packets
from pytest_kollalab.sdn.capture.recordings import RECORDINGS
from pytest_kollalab.sdn.probe.namespace import Background, Namespace
from pytest_kollalab.system.errors import KollalabError

# tcpdump writes each packet at once, without buffering.
TCPDUMP = ("tcpdump", "-n", "-U", "--immediate-mode", "-w", "-")


@dataclass
class Capture:
    """The packets that tcpdump captures on an interface; complete when the block has ended."""

    where: str
    running: Background
    data: bytes = field(default=b"", repr=False)

    @cached_property
    def packets(self) -> Packets:
        """The packets. Raises KollalabError before the block has ended."""
        if not self.data:
            raise KollalabError(
                f"the capture on {self.where} is not complete",
                hint="ask after its block has ended, or so_far() for the packets up to now",
            )
        return decode.packets(self.data)

    def so_far(self) -> Packets:
        """The packets up to now, while the block runs."""
        return decode.packets(self.running.binary())


@contextmanager
def capture(place: Namespace, device: str, filter: str = "") -> Iterator[Capture]:
    """Capture packets on a device until the block ends.

    Args:
        place: The namespace of the device.
        device: The name of the device.
        filter: A filter expression of tcpdump.

    Yields:
        The capture, with its `packets`.
    """
    argv = [*TCPDUMP, "-i", device, *filter.split()]
    with place.background("capture", argv, ready="listening on") as running:
        seen = Capture(f"{device} of {place.node}", running)
        try:
            yield seen
        finally:
            # Also after a failure in the block: the artifacts of the test contain the capture.
            running.stop()
            seen.data = running.binary()
            name = f"{place.node}-{running.unit.removeprefix('kollalab-')}"
            frames = [replace(frame, device=device) for frame in decode.read(seen.data)]
            RECORDINGS.add(name, frames, time.time())
