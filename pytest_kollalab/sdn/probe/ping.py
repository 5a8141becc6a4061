"""What ping and traceroute printed, parsed."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")
ANSWER = re.compile(r"bytes from [^ ]+ icmp_seq=(\d+) ttl=(\d+) time=([\d.]+) ms")
HOP = re.compile(r"^\s*(\d+)\s+(?:\*\s+)*(\*|\d+\.\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class PingResult:
    """The outcome of a ping; true when every request was answered. Times are in milliseconds."""

    target: str
    sent: int
    received: int
    times: tuple[float, ...] = ()
    ttls: tuple[int, ...] = ()
    output: str = ""

    def __bool__(self) -> bool:
        return 0 < self.sent == self.received

    def __str__(self) -> str:
        return f"ping {self.target}: {self.received} of {self.sent} answered"


def parse_ping(target: str, output: str) -> PingResult:
    """Parse what `ping -n` of iputils printed."""
    summary = SUMMARY.search(output)
    answers = ANSWER.findall(output)
    return PingResult(
        target,
        sent=int(summary[1]) if summary else 0,
        received=int(summary[2]) if summary else 0,
        times=tuple(float(time) for _, _, time in answers),
        ttls=tuple(int(ttl) for _, ttl, _ in answers),
        output=output,
    )


def parse_traceroute(output: str) -> tuple[str, ...]:
    """The address of each hop that `traceroute -n` printed, `*` for one that was always silent."""
    found = (HOP.match(line) for line in output.splitlines())
    return tuple(match[2] for match in found if match)
