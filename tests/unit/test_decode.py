"""The decoder: frames with every header that the project's networks have, byte by byte."""

from __future__ import annotations

import io
import struct

import dpkt
import pytest

from pytest_kollalab.sdn.capture import decode as decoder
from pytest_kollalab.sdn.capture.packets import Arp, Frame, Packet, Packets, Tunnel
from pytest_kollalab.sdn.on_nodes import observer

SRC, DST = bytes.fromhex("fa163e000001"), bytes.fromhex("fa163e000002")
ICMP = bytes([8, 0, 0, 0, 0, 7, 0, 1]) + b"payload."
UDP = struct.pack("!HHHH", 20001, 9, 8, 0)
SYN = struct.pack("!HHIIBBHHH", 43033, 7777, 1, 0, 0x50, 0x02, 512, 0, 0)
NSH = struct.pack("!HBBI", 0x0FC6, 1, 3, 5 << 8 | 254) + bytes(16)
TWO_LABELS = struct.pack("!II", 511 << 12 | 255, 7 << 12 | 0x100 | 64)
PING = ("10.0.0.1", "10.0.0.2", True, 7)


def ip(payload: bytes, protocol: int, *, ttl: int = 63, offset: int = 0, options: int = 0) -> bytes:
    size = 20 + 4 * options
    kind, length = 0x40 | 5 + options, size + len(payload)
    head = struct.pack("!BBHHHBBH", kind, 0, length, 1, offset, ttl, protocol, 0)
    return head + bytes([10, 0, 0, 1, 10, 0, 0, 2]) + bytes(4 * options) + payload


def outer(payload: bytes, protocol: int) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0)
    return frame(0x0800, head + bytes([10, 65, 3, 12, 10, 65, 3, 11]) + payload)


def over_udp(port: int, payload: bytes) -> bytes:
    return outer(struct.pack("!HHHH", 50000, port, 8 + len(payload), 0) + payload, 17)


def ipv6(payload: bytes, kind: int) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(payload), kind, 60)
    return head + bytes.fromhex(f"fd00{1:028x}fd00{2:028x}") + payload


def frame(kind: int, payload: bytes) -> bytes:
    return DST + SRC + struct.pack("!H", kind) + payload


def tag(number: int, kind: int) -> bytes:
    return struct.pack("!HH", 0x2000 | number, kind)


def decode(data: bytes, time: float = 0.0) -> Packet:
    return decoder.decode(Frame(time, data, len(data)))


def ping_in(packet: Packet | None) -> tuple[str, str, bool, int | None]:
    assert packet is not None
    return (packet.src, packet.dst, packet.is_echo_request, packet.ident)


PINGED = frame(0x0800, ip(ICMP, 1))


def test_a_ping() -> None:
    packet = decode(PINGED, 5.0)
    assert ping_in(packet) == PING
    assert (packet.src_mac, packet.dst_mac) == ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02")
    assert (packet.time, packet.ethertype, packet.labels) == (5.0, 0x0800, ())
    assert (packet.protocol, packet.ttl, packet.length) == ("icmp", 63, 50)
    assert packet.innermost is packet


def test_pings_of_ipv6_behind_an_extension_header() -> None:
    echo = bytes([128, 0, 0, 0, 0, 9, 0, 1])
    for data in (ipv6(echo, 58), ipv6(bytes([58, 0, 1, 4, 0, 0, 0, 0]) + echo, 0)):
        packet = decode(frame(0x86DD, data))
        assert (packet.src, packet.dst, packet.ttl) == ("fd00::1", "fd00::2", 60)
        assert (packet.protocol, packet.is_echo_request, packet.ident) == ("icmp6", True, 9)
        assert not packet.is_ipv4


def test_an_error_of_icmp_is_no_echo() -> None:
    packet = decode(frame(0x0800, ip(bytes([11, 0, 0, 0, 0, 0, 0, 0]) + ip(ICMP, 1), 1)))
    assert (packet.icmp, packet.ident) == ((11, 0), None)
    assert not packet.is_echo_request


def test_arp_is_between_no_addresses() -> None:
    said = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + SRC + bytes([10, 0, 0, 1])
    packet = decode(frame(0x0806, said + bytes(6) + bytes([10, 0, 0, 2])))
    assert packet.arp == Arp(1, "10.0.0.1", "fa:16:3e:00:00:01", "10.0.0.2")
    assert not Packets([packet]).between("10.0.0.1", "10.0.0.2")


def test_a_connection_of_tcp_is_between_its_addresses() -> None:
    packets = Packets([decode(frame(0x0800, ip(SYN, 6))), decode(PINGED)])
    opened, _ = packets.between("10.0.0.1", "10.0.0.2")
    assert (opened.protocol, opened.sport, opened.dport, opened.flags) == ("tcp", 43033, 7777, 2)
    assert not packets.between("10.0.0.2", "10.0.0.1")


@pytest.mark.parametrize("outer_kind", [0x8100, 0x88A8])
def test_tags_of_vlans_one_in_the_other(outer_kind: int) -> None:
    packet = decode(frame(0x8100, tag(7, 0x0800) + ip(UDP, 17)))
    assert (packet.vlans, packet.ethertype) == ((7,), 0x0800)
    assert (packet.protocol, packet.sport, packet.dport) == ("udp", 20001, 9)
    # dpkt's own frames lose the outer tags of three, and of two that are both 802.1ad.
    tags = tag(1, 0x88A8) + tag(2, 0x8100) + tag(3, 0x0800)
    assert decode(frame(outer_kind, tags + ip(ICMP, 1))).vlans == (1, 2, 3)


def test_all_labels_of_a_stack() -> None:
    packet = decode(frame(0x8847, TWO_LABELS + ip(ICMP, 1)))
    assert packet.labels == (511, 7)
    assert ping_in(packet) == PING


def test_options_of_ip_behind_labels() -> None:
    # dpkt's own frames take this for a frame in a pseudowire.
    packet = decode(frame(0x8847, TWO_LABELS + ip(ICMP, 1, options=1)))
    assert ping_in(packet) == PING
    assert packet.tunnel is None


@pytest.mark.parametrize("control", [b"", bytes(4)])
def test_a_frame_behind_labels(control: bytes) -> None:
    packet = decode(frame(0x8847, TWO_LABELS + control + PINGED))
    assert (packet.tunnel, packet.labels) == (Tunnel("mpls", 0x6558), (511, 7))
    assert ping_in(packet.inner) == PING


def test_a_network_service_header() -> None:
    packet = decode(frame(0x894F, NSH + frame(0x0800, ip(ICMP, 1))))
    assert packet.service == (5, 254)
    assert ping_in(packet) == PING
    assert packet.ethertype == 0x894F


GRE_MPLS = struct.pack("!HH", 0, 0x8847)
GRE_KEY = struct.pack("!HHI", 0x2000, 0x6558, 9)
GRE_ALL = struct.pack("!HHHHII", 0xB000, 0x0800, 0, 0, 9, 1)
VXLAN = struct.pack("!II", 0x08000000, 321 << 8)
GPE_NSH = struct.pack("!II", 0x0C000004, 321 << 8)
OPTION = struct.pack("!HBB", 0x0102, 0x80, 1) + b"\0\0\0\2"
GENEVE = struct.pack("!BBHI", 2, 0, 0x6558, 321 << 8) + OPTION


@pytest.mark.parametrize(
    ("data", "tunnel", "labels"),
    [
        (outer(GRE_MPLS + TWO_LABELS + ip(ICMP, 1), 47), Tunnel("gre", 0x8847), (511, 7)),
        (outer(GRE_KEY + PINGED, 47), Tunnel("gre", 0x6558, 9), ()),
        (outer(GRE_ALL + ip(ICMP, 1), 47), Tunnel("gre", 0x0800, 9), ()),
        (over_udp(4789, VXLAN + PINGED), Tunnel("vxlan", 0x6558, 321), ()),
        (over_udp(4790, GPE_NSH + NSH + PINGED), Tunnel("vxlan-gpe", 0x894F, 321), ()),
        (
            over_udp(6081, GENEVE + PINGED),
            Tunnel("geneve", 0x6558, 321, ((0x0102, 0x80, b"\0\0\0\2"),)),
            (),
        ),
        (over_udp(6635, TWO_LABELS + ip(ICMP, 1)), Tunnel("mpls-in-udp", 0x8847), (511, 7)),
        (outer(TWO_LABELS + ip(ICMP, 1), 137), Tunnel("mpls-in-ip", 0x8847), (511, 7)),
        (outer(ip(ICMP, 1), 4), Tunnel("ip-in-ip", 0x0800), ()),
    ],
    ids=lambda value: value.kind if isinstance(value, Tunnel) else "",
)
def test_a_packet_in_a_tunnel(data: bytes, tunnel: Tunnel, labels: tuple[int, ...]) -> None:
    packet = decode(data)
    assert (packet.src, packet.dst, packet.ttl) == ("10.65.3.12", "10.65.3.11", 64)
    assert packet.tunnel == tunnel
    assert packet.innermost.labels == labels
    assert ping_in(packet.inner) == PING
    assert not packet.is_echo_request
    assert Packets([packet]).between("10.0.0.1", "10.0.0.2")[0] is packet
    assert tunnel.kind in str(packet)


def test_tunnels_in_tunnels() -> None:
    inside = over_udp(4789, VXLAN + frame(0x8100, tag(4, 0x0800) + ip(UDP, 17)))
    packet = decode(over_udp(6081, GENEVE + inside))
    assert [each.tunnel and each.tunnel.kind for each in packet.layers] == ["geneve", "vxlan", None]
    assert (packet.innermost.vlans, packet.innermost.dport) == ((4,), 9)


def test_only_the_first_fragment_has_ports() -> None:
    assert decode(frame(0x0800, ip(UDP, 17, offset=0x2000))).sport == 20001
    later = decode(frame(0x0800, ip(UDP, 17, offset=100)))
    assert (later.sport, later.protocol) == (None, "udp")


def test_what_is_unknown() -> None:
    assert decode(frame(0x88CC, bytes(28))).ethertype == 0x88CC
    assert decode(frame(0x0800, ip(b"\1\2", 89))).protocol == "89"


@pytest.mark.parametrize(
    "data",
    [
        frame(0x0800, ip(SYN, 6)),
        frame(0x8100, tag(4, 0x8847) + TWO_LABELS + ip(ICMP, 1)),
        frame(0x894F, NSH + PINGED),
        frame(0x86DD, ipv6(bytes([58, 0, 1, 4, 0, 0, 0, 0]) + ICMP, 0)),
        outer(GRE_MPLS + TWO_LABELS + ip(ICMP, 1), 47),
        outer(GRE_KEY + frame(0x8847, TWO_LABELS), 47),
        over_udp(6081, GENEVE + PINGED),
        over_udp(4790, GPE_NSH + NSH + PINGED),
    ],
)
def test_a_frame_that_is_cut_anywhere_keeps_what_is_there(data: bytes) -> None:
    whole = decode(data)
    before = 0
    for length in range(len(data) + 1):
        cut = decode(data[:length])
        known = sum(bool(value) for layer in cut.layers for value in vars(layer).values())
        assert cut.src in ("", whole.src)
        assert cut.vlans == whole.vlans[: len(cut.vlans)]
        before = max(before, known)
    assert cut == whole
    assert known == before


def test_headers_without_end_are_no_crash() -> None:
    assert decode(frame(0x8100, tag(1, 0x8100) * 16000)).length == 64014


def pcap(*frames: bytes, nano: bool = False) -> bytes:
    made = io.BytesIO()
    writer = dpkt.pcap.Writer(made, snaplen=65535, nano=nano)
    for number, data in enumerate(frames, start=1):
        writer.writepkt(data, number + 0.25)
    return made.getvalue()


@pytest.mark.parametrize("nano", [False, True])
def test_a_capture_file_and_its_end_that_is_not_written_yet(nano: bool) -> None:
    data = pcap(PINGED, frame(0x0800, ip(SYN, 6)), nano=nano)
    assert [(p.time, p.protocol) for p in decoder.packets(data)] == [(1.25, "icmp"), (2.25, "tcp")]
    assert {len(decoder.read(data[:-cut])) for cut in range(1, 69)} == {1}
    assert decoder.read(pcap()) == decoder.read(b"") == []


def test_what_is_no_capture_file() -> None:
    with pytest.raises(ValueError, match="no capture file"):
        decoder.read(b"tcpdump: no such device exists")


def test_a_capture_file_of_several_devices() -> None:
    seen = [
        (0, 1_500_000_000, observer.FLAGS[0], PINGED[:40], len(PINGED)),
        (1, 1_795_348_800_123_456_789, observer.FLAGS[4], PINGED, len(PINGED)),
        (1, 3, observer.FOR_OTHERS, PINGED, len(PINGED)),
    ]
    data = observer.pcapng(["tap1", "tap2"], seen)
    read = decoder.read(data + observer.pcapng(["tap3"], [(0, *seen[2][1:])]))
    assert [(f.device, f.way, len(f.data), f.length) for f in read] == [
        ("tap1", "in", 40, 50),
        ("tap2", "out", 50, 50),
        ("tap2", "by", 50, 50),
        ("tap3", "by", 50, 50),
    ]
    assert [frame.time for frame in read[:2]] == [1.5, pytest.approx(1795348800.123456, abs=1e-6)]
    assert len(decoder.read(data[:-1])) == 2


def test_a_tag_that_the_kernel_took_from_a_frame_is_put_back() -> None:
    told = struct.pack("IIIHHHH", 1 << 4 | 1 << 6, 46, 42, 0, 14, 7, 0x88A8)
    tagged, length = observer.whole_frame(PINGED[:42], told)
    packet = decode(tagged)
    assert (packet.vlans, packet.src, length) == ((7,), "10.0.0.1", 50)
    untagged = struct.pack("IIIHHHH", 1, 50, 42, 0, 14, 0, 0)
    assert observer.whole_frame(PINGED, untagged) == (PINGED, 50)
