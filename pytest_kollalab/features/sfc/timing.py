"""Timing: a stream of pings, and the time at which its packets take another path."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_kollalab.sdn import figures
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_kollalab.sdn.capture.packets import Sighting
    from pytest_kollalab.sdn.capture.watch import Watch
    from pytest_kollalab.sdn.probe.probe import Probe

# Seconds between pings, which is the resolution of the measurements.
INTERVAL = "0.02"
LONGEST = "300"
START = """
unit=$1
shift
exec systemd-run --quiet --collect --unit="$unit" --property=StandardOutput=null "$@"
"""
# When one more ping is answered, the earlier ones have arrived as well.
STOP = """
systemctl stop --quiet "$1" 2> /dev/null || true
ip netns exec "$2" ping -n -q -c 1 -W 1 "$3" > /dev/null || true
"""


class Stream:
    """A stream of pings from one probe to another, made by `streaming`.

    `began` is the time on this host at which the measured call was made.
    """

    def __init__(self, src: Probe, dst: Probe, watch: Watch, patience: float) -> None:
        self.src = src
        self.dst = dst
        self.began = time.time()
        self._watch = watch
        self._patience = patience
        self._mark = watch.mark(dst.node)

    def begin(self) -> None:
        """Note that the measured call is made now."""
        self.began = time.time()

    def first_from(self, macs: Iterable[str], name: str, *, timeout: float = 60) -> float:
        """Wait for a ping that arrives from one of the MAC addresses.

        Args:
            macs: The MAC addresses.
            name: The name of the figure that is recorded.
            timeout: Seconds.

        Returns:
            The seconds since `began`.

        Raises:
            WaitError: No such ping arrives in time.
        """
        wanted = set(macs)

        def look() -> float | NotYet:
            arrived = [
                each.packet
                for each in self._watch.since(self._mark)
                if self._is_mine(each) and each.packet.time >= self.began
            ]
            for packet in arrived:
                if packet.src_mac in wanted:
                    return packet.time
            seen = sorted({packet.src_mac for packet in arrived})
            return NotYet(f"{len(arrived)} pings arrived, from {', '.join(seen) or 'nobody'}")

        when = wait.until(
            f"a ping of {self.src.name} to {self.dst.name} from {' or '.join(sorted(wanted))}",
            look,
            timeout=timeout * self._patience,
            interval=0.1,
        )
        seconds = when - self.began
        figures.record(name, seconds)
        return seconds

    def _is_mine(self, each: Sighting) -> bool:
        packet = each.packet
        return (
            each.device == self.dst.device
            and each.way == "in"
            and packet.is_echo_request
            and (packet.src, packet.dst) == (self.src.ip, self.dst.ip)
        )


@contextmanager
def streaming(src: Probe, dst: Probe, watch: Watch, patience: float) -> Iterator[Stream]:
    """Send pings from one probe to another until the block ends."""
    watch.over(dst)
    unit = f"kollalab-{src.namespace.name}-stream-{secrets.token_hex(3)}"
    ping = ["ping", "-n", "-q", "-i", INTERVAL, "-w", LONGEST, dst.ip]
    src.namespace.script(START, unit, "ip", "netns", "exec", src.namespace.name, *ping)
    try:
        yield Stream(src, dst, watch, patience)
    finally:
        src.namespace.script(STOP, unit, src.namespace.name, dst.ip)


def timed(call: Callable[[], object]) -> float:
    """The seconds that a call took."""
    started = time.monotonic()
    call()
    return time.monotonic() - started
