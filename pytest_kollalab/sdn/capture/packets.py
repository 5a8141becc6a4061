"""Packets: what tcpdump saw on an interface, parsed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

TCPDUMP = ("tcpdump", "-n", "-e", "-tt", "-v", "-l", "--immediate-mode")

FRAME = re.compile(
    r"(?P<time>\d+\.\d+) (?P<source>\S+) > (?P<target>[0-9a-fA-F:]+), .*?length (?P<length>\d+):"
)
ETHERTYPE = re.compile(r"ethertype ([^,(]+?) ?\((0x[0-9a-f]{4})\)|ethertype (0x[0-9a-f]{4})")
LABEL = re.compile(r"label (\d+)")
VLAN = re.compile(r"vlan (\d+)")
HEADER = re.compile(
    r"\(tos [^()]*?ttl (?P<ttl>\d+),.*?proto:? (?P<proto>\w+) \(\d+\).*?length (?P<size>\d+)"
)
ENDS = re.compile(
    r"(?P<src>\d+\.\d+\.\d+\.\d+)(?:\.(?P<sport>\d+))? > "
    r"(?P<dst>\d+\.\d+\.\d+\.\d+)(?:\.(?P<dport>\d+))?: (?P<info>.*)"
)


@dataclass(frozen=True)
class Packet:
    """One packet. `time` is in seconds of the node's clock, `length` that of the frame in bytes.

    `src`, `dst`, `protocol` (lower case), `ttl` and the ports are there for IPv4 only, `ident`, the
    identifier of a ping and its answer, for frames only; `labels` are its MPLS labels, outermost
    first; `service` is the path and the index of its NSH; `info` is tcpdump's own description.
    """

    time: float
    src_mac: str
    dst_mac: str
    ethertype: int
    length: int
    src: str = ""
    dst: str = ""
    protocol: str = ""
    ttl: int = 0
    sport: int | None = None
    dport: int | None = None
    ident: int | None = None
    vlan: int | None = None
    labels: tuple[int, ...] = ()
    service: tuple[int, int] | None = None
    info: str = ""

    @property
    def is_echo_request(self) -> bool:
        """Whether it is a ping."""
        return self.info.startswith("ICMP echo request")

    @property
    def is_echo_reply(self) -> bool:
        """Whether it is the answer to a ping."""
        return self.info.startswith("ICMP echo reply")


class Packets(Sequence[Packet]):
    """Packets in the order in which they were seen."""

    def __init__(self, packets: Iterable[Packet]) -> None:
        self._packets = tuple(packets)

    @overload
    def __getitem__(self, index: int) -> Packet: ...
    @overload
    def __getitem__(self, index: slice) -> Packets: ...
    def __getitem__(self, index: int | slice) -> Packet | Packets:
        return Packets(self._packets[index]) if isinstance(index, slice) else self._packets[index]

    def __len__(self) -> int:
        return len(self._packets)

    def __iter__(self) -> Iterator[Packet]:
        return iter(self._packets)

    def __repr__(self) -> str:
        return "Packets(\n" + "".join(f"  {packet}\n" for packet in self._packets) + ")"

    def between(self, src: str, dst: str) -> Packets:
        """Those from one address to another, one way."""
        return Packets(packet for packet in self if (packet.src, packet.dst) == (src, dst))

    @property
    def requests(self) -> Packets:
        """The pings among them."""
        return Packets(packet for packet in self if packet.is_echo_request)

    @property
    def replies(self) -> Packets:
        """The answers to pings among them."""
        return Packets(packet for packet in self if packet.is_echo_reply)


def parse_packets(text: str) -> Packets:
    """Parse what `tcpdump -n -e -tt -v` printed; a last line that is cut short does not count."""
    records: list[str] = []
    for line in text.splitlines():
        if line[:1].isspace() and records:
            records[-1] += " " + line.strip()
        else:
            records.append(line)
    return Packets(packet for record in records if (packet := _parse(record)) is not None)


def _parse(record: str) -> Packet | None:
    frame = FRAME.match(record)
    kinds = ETHERTYPE.findall(record)
    if frame is None or not kinds:
        return None
    # With VLAN tags there are several: the frame's own kind is the last one.
    ethertype = int(kinds[-1][1] or kinds[-1][2], 16)
    vlan = VLAN.search(record)
    header = HEADER.search(record)
    ends = ENDS.search(record, header.end()) if header else None
    return Packet(
        time=float(frame["time"]),
        src_mac=frame["source"].lower(),
        dst_mac=frame["target"].lower(),
        ethertype=ethertype,
        length=int(frame["length"]),
        src=ends["src"] if ends else "",
        dst=ends["dst"] if ends else "",
        protocol=header["proto"].lower() if header else "",
        ttl=int(header["ttl"]) if header else 0,
        sport=int(ends["sport"]) if ends and ends["sport"] else None,
        dport=int(ends["dport"]) if ends and ends["dport"] else None,
        vlan=int(vlan[1]) if vlan else None,
        labels=tuple(int(label) for label in LABEL.findall(record[: header.start()]))
        if header
        else (),
        info=ends["info"] if ends else record[frame.end() :].strip(),
    )
