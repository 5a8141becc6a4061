"""Parsers for the output of ping and traceroute."""

from __future__ import annotations

import re
from dataclasses import dataclass

SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")
ANSWER = re.compile(r"bytes from [^ ]+ icmp_seq=(\d+) ttl=(\d+) time=([\d.]+) ms")
HOP = re.compile(r"^\s*(\d+)\s+(?:\*\s+)*(\*|\d+\.\d+\.\d+\.\d+)")


@dataclass(frozen=True)
class PingResult:
    """The result of a ping, which is true when every request was answered.

    Attributes:
        target: The address.
        sent: The number of requests.
        received: The number of answers.
        times: The round-trip time of each answer, in milliseconds.
        ttls: The TTL of each answer.
        output: What ping printed.
    """

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
    """Parse the output of `ping -n` of iputils."""
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
    """Parse the output of `traceroute -n`: the address of each hop, `*` for one without answers."""
    found = (HOP.match(line) for line in output.splitlines())
    return tuple(match[2] for match in found if match)
