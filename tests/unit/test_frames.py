"""Frames, byte by byte."""

from __future__ import annotations

import struct

from pytest_kollalab.sdn.capture.frames import decode

SRC, DST = bytes.fromhex("fa163e000001"), bytes.fromhex("fa163e000002")
ICMP = bytes([8, 0, 0, 0, 0, 1, 0, 1])
UDP = struct.pack("!HHHH", 20001, 9, 8, 0)


def ip(payload: bytes, protocol: int, ttl: int = 63) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, ttl, protocol, 0)
    return head + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + payload


def frame(kind: int, payload: bytes) -> bytes:
    return DST + SRC + struct.pack("!H", kind) + payload


def test_a_ping() -> None:
    packet = decode(frame(0x0800, ip(ICMP, 1)), 5.0)
    assert (packet.src, packet.dst, packet.ttl) == ("10.0.0.1", "10.0.0.2", 63)
    assert (packet.src_mac, packet.dst_mac) == ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02")
    assert packet.is_echo_request
    assert packet.ident == 1
    assert (packet.time, packet.ethertype, packet.labels) == (5.0, 0x0800, ())


def test_ports_of_udp_behind_a_tag() -> None:
    packet = decode(frame(0x8100, struct.pack("!HH", 0x2007, 0x0800) + ip(UDP, 17)))
    assert (packet.vlan, packet.ethertype) == (7, 0x0800)
    assert (packet.protocol, packet.sport, packet.dport) == ("udp", 20001, 9)


def test_labels() -> None:
    shims = struct.pack("!II", 511 << 12 | 255, 7 << 12 | 0x100 | 64)
    packet = decode(frame(0x8847, shims + ip(ICMP, 1)))
    assert packet.labels == (511, 7)
    assert packet.src == "10.0.0.1"


def test_a_network_service_header() -> None:
    header = struct.pack("!HBBI", 0x0FC6, 1, 3, 5 << 8 | 254) + bytes(16)
    packet = decode(frame(0x894F, header + frame(0x0800, ip(ICMP, 1))))
    assert packet.service == (5, 254)
    assert packet.is_echo_request
    assert packet.ethertype == 0x894F


def test_what_is_cut_short_and_what_is_unknown() -> None:
    assert decode(frame(0x0800, ip(ICMP, 1)[:12])).src == ""
    assert decode(frame(0x0806, bytes(28))).ethertype == 0x0806
    assert decode(frame(0x0800, ip(b"\1\2", 89))).protocol == "89"
