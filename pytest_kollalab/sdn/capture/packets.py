"""Packets: what was seen on an interface, one type for all protocols and tunnels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

ECHO_REQUESTS, ECHO_REPLIES = (("icmp", 8), ("icmp6", 128)), (("icmp", 0), ("icmp6", 129))


@dataclass(frozen=True)
class Frame:
    """The bytes of a frame as they were captured.

    `time` is in seconds since 1970; `length` is that of the whole frame in bytes, of which `data`
    may have only the beginning. `way` is in, out, or by (not addressed to the device); captures of
    tcpdump do not tell it.
    """

    time: float
    data: bytes
    length: int
    device: str = ""
    way: str = ""


@dataclass(frozen=True)
class Arp:
    """What an ARP packet asks or answers. `operation` is 1 for a request, 2 for a reply."""

    operation: int
    sender: str
    sender_mac: str
    target: str


@dataclass(frozen=True)
class Tunnel:
    """The header of a tunnel.

    `kind` is gre, vxlan, vxlan-gpe, geneve, mpls-in-udp, mpls-in-ip, ip-in-ip or mpls (a frame
    behind labels). `id` is the VNI, or the key of GRE if there is one. `protocol` is the Ethernet
    type of what is inside: 0x8847 for MPLS, 0x6558 for whole frames. `options` are those of
    Geneve: class, type and value of each.
    """

    kind: str
    protocol: int
    id: int | None = None
    options: tuple[tuple[int, int, bytes], ...] = ()


@dataclass(frozen=True)
class Packet:
    """One packet.

    `time` is in seconds of the node's clock, `length` that of the frame in bytes. `src`, `dst`,
    `protocol` (lower case: tcp, udp, icmp, icmp6, or the number as text) and `ttl` (or hop limit)
    are there for IPv4 and IPv6. `ident` is the identifier of a ping and of its answer, `icmp` the
    type and the code, `flags` the flags of TCP as bits. `vlans` are the identifiers of its VLAN
    tags and `labels` its MPLS labels, outermost first; `service` is the path and the index of its
    NSH. `ethertype` is the type behind the VLAN tags.

    Labels and NSH are part of the packet that they are in front of. A packet in a tunnel is a
    packet of its own: `inner`, with `tunnel` in between. It has MAC addresses if the tunnel carries
    frames.
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
    icmp: tuple[int, int] | None = None
    flags: int = 0
    vlans: tuple[int, ...] = ()
    labels: tuple[int, ...] = ()
    service: tuple[int, int] | None = None
    arp: Arp | None = None
    tunnel: Tunnel | None = None
    inner: Packet | None = None

    def __str__(self) -> str:
        words = [f"{self.time:.6f}", f"{self.src_mac or '-'} > {self.dst_mac or '-'}"]
        words += [f"vlan {vlan}" for vlan in self.vlans]
        words += [f"label {label}" for label in self.labels]
        if self.service:
            words.append("NSH path {} index {}".format(*self.service))
        if self.arp:
            words.append(f"ARP {self.arp}")
        elif self.src:
            ends = [_end(self.src, self.sport), _end(self.dst, self.dport)]
            words.append(f"{' > '.join(ends)} {self.protocol} ttl {self.ttl}")
        else:
            words.append(f"type {self.ethertype:#06x}")
        if self.icmp:
            words.append(f"type {self.icmp[0]} code {self.icmp[1]} id {self.ident}")
        text = ", ".join([*words, f"{self.length} bytes"])
        return f"{text} [{self.tunnel}: {self.inner}]" if self.tunnel else text

    @property
    def layers(self) -> tuple[Packet, ...]:
        """The packet and those inside it, outermost first."""
        return (self, *(self.inner.layers if self.inner else ()))

    @property
    def innermost(self) -> Packet:
        """The packet inside all tunnels; itself without any."""
        return self.layers[-1]

    @property
    def is_ipv4(self) -> bool:
        """Whether it has an IPv4 header."""
        return "." in self.src

    @property
    def is_echo_request(self) -> bool:
        """Whether it is a ping."""
        return self.icmp is not None and (self.protocol, self.icmp[0]) in ECHO_REQUESTS

    @property
    def is_echo_reply(self) -> bool:
        """Whether it is the answer to a ping."""
        return self.icmp is not None and (self.protocol, self.icmp[0]) in ECHO_REPLIES


@dataclass(frozen=True)
class Sighting:
    """A packet at a device. `way` is `in`, `out`, or `by` for one that is addressed to others."""

    device: str
    way: str
    packet: Packet


class Packets(Sequence[Packet]):
    """Packets in the order in which they were seen."""

    def __init__(self, packets: Iterable[Packet] = ()) -> None:
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
        """Those from one address to another, one way, also when they are inside a tunnel."""
        wanted = (src, dst)
        return Packets(
            packet for packet in self if wanted in [(p.src, p.dst) for p in packet.layers]
        )

    @property
    def requests(self) -> Packets:
        """The pings among them."""
        return Packets(packet for packet in self if packet.is_echo_request)

    @property
    def replies(self) -> Packets:
        """The answers to pings among them."""
        return Packets(packet for packet in self if packet.is_echo_reply)


def _end(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
