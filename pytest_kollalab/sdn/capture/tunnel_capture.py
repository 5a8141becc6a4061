"""The wire between nodes: what tunnels carry, with its labels, as tcpdump sees it outside."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from pytest_kollalab.sdn.capture.packets import TCPDUMP, Packet, parse_packets
from pytest_kollalab.sdn.probe.namespace import NodeItself
from pytest_kollalab.system.ssh import Ssh

# The interface on the tunnel network, as providers name it.
DEVICE = "tun0"
MPLS = 0x8847
GRE = re.compile(r"GREv0, .*?proto [^(]*\((0x[0-9a-f]{4})\)")
LABEL = re.compile(r"MPLS \((label \d+[^)]*)\)")
NUMBER = re.compile(r"label (\d+)")
INNER = re.compile(
    r"MPLS .*?\(tos [^()]*?ttl (?P<ttl>\d+),.*?\) (?P<src>[\d.]+) > (?P<dst>[\d.]+): (?P<info>.*)"
)
_numbers = count(1)


@dataclass(frozen=True)
class Tunnelled:
    """A packet in a GRE tunnel: from node to node, with labels, and what is inside."""

    source: str
    target: str
    protocol: int
    labels: tuple[int, ...]
    ttl: int
    src: str
    dst: str
    info: str


class Wire:
    """A capture on the tunnel interface of a node; complete when its block has ended."""

    def __init__(self) -> None:
        self.text = ""

    @property
    def packets(self) -> list[Tunnelled]:
        """The packets in GRE tunnels."""
        return parse_tunnelled(self.text)

    def between(self, src: str, dst: str) -> list[Tunnelled]:
        """Those from one inner address to another, one way."""
        return [packet for packet in self.packets if (packet.src, packet.dst) == (src, dst)]


@contextmanager
def watched(ssh: Ssh, node: str) -> Iterator[Wire]:
    """Record what goes through GRE tunnels of a node until the block ends."""
    outer = NodeItself(ssh, node, f"wire-{next(_numbers)}")
    argv = [*TCPDUMP, "-i", DEVICE, "ip", "proto", "47"]
    wire = Wire()
    try:
        with outer.background("capture", argv, ready="listening on") as running:
            yield wire
            running.stop()
            wire.text = running.output()
    finally:
        outer.script('rm -rf "/run/kollalab/$1"', outer.name)


def parse_tunnelled(text: str) -> list[Tunnelled]:
    """Parse what tcpdump printed of GRE packets."""
    return [found for packet in parse_packets(text) if (found := _parse(packet)) is not None]


def _parse(packet: Packet) -> Tunnelled | None:
    gre = GRE.search(packet.info)
    inner = INNER.search(packet.info)
    if gre is None or inner is None:
        return None
    return Tunnelled(
        source=packet.src,
        target=packet.dst,
        protocol=int(gre[1], 16),
        labels=_labels(LABEL.findall(packet.info)),
        ttl=int(inner["ttl"]),
        src=inner["src"],
        dst=inner["dst"],
        info=inner["info"].strip(),
    )


def _labels(stacks: Sequence[str]) -> tuple[int, ...]:
    return tuple(int(number) for stack in stacks for number in NUMBER.findall(stack))
