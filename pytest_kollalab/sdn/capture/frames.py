"""Frames: bytes as they were on an interface, decoded into packets."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from pytest_kollalab.sdn.capture.packets import Packet

IPV4, MPLS, NSH, VLAN = 0x0800, 0x8847, 0x894F, 0x8100
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}
ECHO = {8: "ICMP echo request", 0: "ICMP echo reply"}
BOTTOM = 0x100
NSH_NEXT_ETHERNET = 3


@dataclass(frozen=True)
class Sighting:
    """A packet at a device. `way` is in, out, or by: it came in but was for somebody else."""

    device: str
    way: str
    packet: Packet


def decode(data: bytes, time: float = 0.0) -> Packet:
    """Decode a frame: Ethernet, VLAN, MPLS or NSH, IPv4 with ports; what is cut short is left out.

    The MAC addresses and the kind are those of the outermost header, the addresses those of the
    innermost.
    """
    kind = struct.unpack_from("!H", data, 12)[0]
    packet = Packet(time, mac(data[6:12]), mac(data[0:6]), kind, len(data))
    return inside(packet, kind, data[14:])


def inside(packet: Packet, kind: int, data: bytes) -> Packet:
    """The packet with what is in its payload of a kind (an Ethernet type)."""
    if kind == VLAN and len(data) >= 4:
        tag, inner = struct.unpack_from("!HH", data)
        return inside(replace(packet, vlan=tag & 0xFFF, ethertype=inner), inner, data[4:])
    if kind == MPLS:
        labels = []
        while len(data) >= 4:
            entry = struct.unpack_from("!I", data)[0]
            labels.append(entry >> 12)
            data = data[4:]
            if entry & BOTTOM:
                break
        return inside(replace(packet, labels=tuple(labels)), IPV4, data)
    if kind == NSH and len(data) >= 8:
        length = (struct.unpack_from("!H", data)[0] & 0x3F) * 4
        path = struct.unpack_from("!I", data, 4)[0]
        packet = replace(packet, service=(path >> 8, path & 0xFF))
        if data[3] == NSH_NEXT_ETHERNET and len(data) >= length + 14:
            inner = struct.unpack_from("!H", data, length + 12)[0]
            return inside(packet, inner, data[length + 14 :])
        return packet
    if kind == IPV4 and len(data) >= 20 and data[0] >> 4 == 4:
        return _ip(packet, data)
    return packet


def mac(data: bytes) -> str:
    """A MAC address as text."""
    return ":".join(f"{byte:02x}" for byte in data)


def _ip(packet: Packet, data: bytes) -> Packet:
    protocol = PROTOCOLS.get(data[9], str(data[9]))
    packet = replace(
        packet,
        src=str(IPv4Address(data[12:16])),
        dst=str(IPv4Address(data[16:20])),
        ttl=data[8],
        protocol=protocol,
    )
    payload = data[(data[0] & 0xF) * 4 :]
    if protocol in ("tcp", "udp") and len(payload) >= 4:
        sport, dport = struct.unpack_from("!HH", payload)
        return replace(packet, sport=sport, dport=dport)
    if protocol == "icmp" and payload:
        packet = replace(packet, info=ECHO.get(payload[0], f"ICMP type {payload[0]}"))
        if payload[0] in ECHO and len(payload) >= 6:
            packet = replace(packet, ident=int.from_bytes(payload[4:6]))
    return packet
