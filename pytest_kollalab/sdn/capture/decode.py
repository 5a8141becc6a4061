"""The decoder: capture files read as frames, and frames decoded into packets.

dpkt reads each header that it knows. What follows a header is decided here, because dpkt 1.9.8
guesses: behind MPLS labels it takes 0x45 for IPv4, and whatever is neither that nor IPv6 for a
frame. It knows no MPLS in GRE, no third VLAN tag, and neither NSH nor VXLAN nor Geneve. A frame
that ends behind its labels raises IndexError in dpkt.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from pytest_kollalab.sdn.capture.packets import Arp, Frame, Packet, Packets, Tunnel

IPV4, IPV6, ARP, MPLS, MPLS_MULTICAST = 0x0800, 0x86DD, 0x0806, 0x8847, 0x8848
NSH, ETHERNET = 0x894F, 0x6558
VLANS = (0x8100, 0x88A8, 0x9100, 0x9200)
PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmp6"}
IP_IN_IP = {4: IPV4, 41: IPV6}
GRE, FRAGMENT, MPLS_IN_IP = 47, 44, 137
# Ports of tunnels over UDP; 8472 is Linux's own for VXLAN.
VXLAN, VXLAN_GPE, GENEVE, MPLS_IN_UDP = (4789, 8472), 4790, 6081, 6635
# The protocols that NSH (RFC 8300) and VXLAN-GPE name alike.
NEXT = {1: IPV4, 2: IPV6, 3: ETHERNET, 4: NSH, 5: MPLS}
GPE_NAMES_NEXT = 0x04
ECHO_LENGTH = 8
ECHOES = {1: (0, 8), 58: (128, 129)}
# pcapng: kinds of blocks, options, and the two lowest bits of a packet's flags.
SECTION, INTERFACE, PACKET = 0x0A0D0D0A, 1, 6
IF_NAME, IF_TSRESOL, EPB_FLAGS = 2, 9, 2
INBOUND, OUTBOUND, UNICAST = 1, 2, 1
TAIL = 12  # of a block without content


def packets(data: bytes) -> Packets:
    """The packets in a capture file, which may be empty."""
    return Packets(decode(frame) for frame in read(data))


def read(data: bytes) -> list[Frame]:
    """The frames in a pcap or pcapng file. An incomplete frame at its end is left out.

    Raises:
        ValueError: The file has another format.
    """
    if len(data) < 24:
        return []
    return list(_pcapng(data) if data[:4] == struct.pack("<I", SECTION) else _pcap(data))


def decode(frame: Frame) -> Packet:
    """Decode an Ethernet frame as far as possible; incomplete headers are left out."""
    packet = Packet(frame.time, "", "", 0, frame.length)
    try:
        return _frame(packet, frame.data)
    except RecursionError:
        return packet  # too many nested headers


def _pcap(data: bytes) -> Iterator[Frame]:
    from dpkt import pcap

    magic = pcap.FileHdr(data).magic
    if magic not in pcap.MAGIC_TO_PKT_HDR:
        raise ValueError(f"no capture file: it begins with {data[:4]!r}")
    kind = pcap.MAGIC_TO_PKT_HDR[magic]
    is_nano = magic in (pcap.TCPDUMP_MAGIC_NANO, pcap.PMUDPCT_MAGIC_NANO)
    ticks = 1e9 if is_nano else 1e6
    at = pcap.FileHdr.__hdr_len__
    # Not dpkt's reader: it tells no length of the whole frame, and takes half a frame for one.
    while at + kind.__hdr_len__ <= len(data):
        header = kind(data[at : at + kind.__hdr_len__])
        at += kind.__hdr_len__
        if at + header.caplen > len(data):
            return
        yield Frame(
            header.tv_sec + header.tv_usec / ticks, data[at : at + header.caplen], header.len
        )
        at += header.caplen


def _pcapng(data: bytes) -> Iterator[Frame]:
    from dpkt import pcapng

    # Not dpkt's reader: it knows one interface, and tells neither interface nor flags of a packet.
    interfaces: list[tuple[str, float]] = []
    at = 0
    while at + TAIL <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        block, at = data[at : at + length], at + max(length, TAIL)
        if len(block) < length:
            return
        if kind == SECTION:
            interfaces = []
        elif kind == INTERFACE:
            options = _options(pcapng.InterfaceDescriptionBlockLE(block))
            ticks = 10.0 ** options.get(IF_TSRESOL, b"\6")[0]
            interfaces.append((options.get(IF_NAME, b"").decode(), ticks))
        elif kind == PACKET:
            header = pcapng.EnhancedPacketBlockLE(block)
            device, ticks = interfaces[header.iface_id]
            time = ((header.ts_high << 32) | header.ts_low) / ticks
            flags = int.from_bytes(_options(header).get(EPB_FLAGS, b""), "little")
            yield Frame(time, header.pkt_data, header.pkt_len, device, _way(flags))


def _options(block: Any) -> dict[int, bytes]:
    return {option.code: option.data for option in block.opts}


def _way(flags: int) -> str:
    if flags & 3 != INBOUND:
        return "out" if flags & 3 == OUTBOUND else ""
    return "in" if flags >> 2 & 7 == UNICAST else "by"


def _frame(packet: Packet, data: bytes) -> Packet:
    if len(data) < 14:
        return packet
    kind = int.from_bytes(data[12:14])
    packet = replace(packet, src_mac=_mac(data[6:12]), dst_mac=_mac(data[:6]), ethertype=kind)
    return _inside(packet, kind, data[14:])


def _inside(packet: Packet, kind: int, data: bytes) -> Packet:
    """The packet with what its payload of an Ethernet type adds to it."""
    import dpkt

    layer = LAYERS.get(kind)
    if layer is None:
        return packet
    try:
        return layer(packet, data)
    except (dpkt.UnpackError, struct.error, IndexError):
        return packet  # cut short


def _vlan(packet: Packet, data: bytes) -> Packet:
    import dpkt

    tag = dpkt.ethernet.VLANtag8021Q(data)
    packet = replace(packet, vlans=(*packet.vlans, tag.id), ethertype=tag.type)
    return _inside(packet, tag.type, data[4:])


def _mpls(packet: Packet, data: bytes) -> Packet:
    import dpkt

    while True:
        label = dpkt.ethernet.MPLSlabel(data)
        data = data[4:]
        packet = replace(packet, labels=(*packet.labels, label.val))
        if label.s:
            break
    version = data[0] >> 4
    if version in (4, 6):
        return _inside(packet, IPV4 if version == 4 else IPV6, data)
    # A pseudowire: whole frames, perhaps behind a control word, which begins with zero.
    return _tunnel(packet, Tunnel("mpls", ETHERNET), data[0 if version else 4 :])


def _nsh(packet: Packet, data: bytes) -> Packet:
    length = (int.from_bytes(data[:2]) & 0x3F) * 4
    (path,) = struct.unpack_from("!I", data, 4)
    packet = replace(packet, service=(path >> 8, path & 0xFF))
    kind = NEXT.get(data[3], 0)
    if kind != ETHERNET:
        return _inside(packet, kind, data[length:])
    # The addresses of the frame inside are those of the hop before: the packet keeps its own.
    return _inside(packet, int.from_bytes(data[length + 12 : length + 14]), data[length + 14 :])


def _arp(packet: Packet, data: bytes) -> Packet:
    import dpkt

    arp = dpkt.arp.ARP(data)
    if arp.pro != IPV4:
        return packet
    said = Arp(arp.op, _ip(arp.spa), _mac(arp.sha), _ip(arp.tpa))
    return replace(packet, arp=said)


def _ipv4(packet: Packet, data: bytes) -> Packet:
    import dpkt

    length = (data[0] & 0xF) * 4
    # The header alone: what follows is not dpkt's to guess.
    ip = dpkt.ip.IP(data[:length])
    packet = _addressed(packet, ip.src, ip.dst, ip.p, ip.ttl)
    # A length of 0 is that of segments that the device is still to cut.
    payload = data[length : ip.len or None]
    return packet if ip.offset else _transport(packet, ip.p, payload)


def _ipv6(packet: Packet, data: bytes) -> Packet:
    import dpkt

    _, size, kind, ttl, src, dst = struct.unpack_from("!IHBB16s16s", data)
    packet = _addressed(packet, src, dst, kind, ttl)
    payload = data[40 : 40 + size if size else None]
    while kind in dpkt.ip6.EXT_HDRS_CLS:
        header = dpkt.ip6.EXT_HDRS_CLS[kind](payload)
        if kind == FRAGMENT and header.frag_off:
            return packet
        kind = getattr(header, "nxt", None)
        if kind is None:
            return packet
        payload = payload[header.length :]
        packet = _addressed(packet, src, dst, kind, ttl)
    return _transport(packet, kind, payload)


def _addressed(packet: Packet, src: bytes, dst: bytes, kind: int, ttl: int) -> Packet:
    protocol = PROTOCOLS.get(kind, "gre" if kind == GRE else str(kind))
    return replace(packet, src=_ip(src), dst=_ip(dst), protocol=protocol, ttl=ttl)


def _transport(packet: Packet, kind: int, data: bytes) -> Packet:
    import dpkt

    try:
        match PROTOCOLS.get(kind):
            case "tcp" | "udp":
                return _ports(packet, kind, data)
            case "icmp" | "icmp6":
                return _icmp(packet, kind, data)
        if kind == GRE:
            return _gre(packet, data)
        if kind in IP_IN_IP:
            return _tunnel(packet, Tunnel("ip-in-ip", IP_IN_IP[kind]), data)
        if kind == MPLS_IN_IP:
            return _tunnel(packet, Tunnel("mpls-in-ip", MPLS), data)
    except (dpkt.UnpackError, struct.error, IndexError):
        pass  # cut short
    return packet


def _ports(packet: Packet, kind: int, data: bytes) -> Packet:
    import dpkt

    sport, dport = struct.unpack_from("!HH", data)
    packet = replace(packet, sport=sport, dport=dport)
    if PROTOCOLS[kind] == "tcp":
        is_whole = len(data) >= dpkt.tcp.TCP.__hdr_len__
        return replace(packet, flags=dpkt.tcp.TCP(data).flags) if is_whole else packet
    data = data[dpkt.udp.UDP.__hdr_len__ :]
    if dport in VXLAN:
        return _tunnel(packet, Tunnel("vxlan", ETHERNET, _vni(data)), data[8:])
    if dport == VXLAN_GPE:
        inside = NEXT.get(data[3], 0) if data[0] & GPE_NAMES_NEXT else ETHERNET
        return _tunnel(packet, Tunnel("vxlan-gpe", inside, _vni(data)), data[8:])
    if dport == GENEVE:
        return _geneve(packet, data)
    if dport == MPLS_IN_UDP:
        return _tunnel(packet, Tunnel("mpls-in-udp", MPLS), data)
    return packet


def _icmp(packet: Packet, kind: int, data: bytes) -> Packet:
    import dpkt

    # ICMPv6 has the same first fields.
    header = dpkt.icmp.ICMP(data[:4])
    packet = replace(packet, icmp=(header.type, header.code))
    if header.type not in ECHOES[kind] or len(data) < ECHO_LENGTH:
        return packet
    return replace(packet, ident=dpkt.icmp.ICMP.Echo(data[4:]).id)


def _gre(packet: Packet, data: bytes) -> Packet:
    import dpkt

    # With no protocol that dpkt knows: it would read what is inside.
    header = dpkt.gre.GRE(data[:2] + b"\0\0" + data[4:])
    length = 4 + struct.calcsize("!" + "".join(header.opt_fields_fmts()[1]))
    length += sum(len(each) for each in header.sre)
    inside = int.from_bytes(data[2:4])
    return _tunnel(packet, Tunnel("gre", inside, getattr(header, "key", None)), data[length:])


def _geneve(packet: Packet, data: bytes) -> Packet:
    length = (data[0] & 0x3F) * 4
    (inside,) = struct.unpack_from("!H", data, 2)
    options = []
    at, end = 8, 8 + length
    while at + 4 <= end:
        space, kind, size = struct.unpack_from("!HBB", data, at)
        size = (size & 0x1F) * 4
        options.append((space, kind, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return _tunnel(packet, Tunnel("geneve", inside, _vni(data), tuple(options)), data[end:])


def _tunnel(packet: Packet, tunnel: Tunnel, data: bytes) -> Packet:
    inner = Packet(packet.time, "", "", tunnel.protocol, len(data))
    if tunnel.protocol == ETHERNET:
        inner = _frame(inner, data)
    else:
        inner = _inside(inner, tunnel.protocol, data)
    return replace(packet, tunnel=tunnel, inner=inner)


def _vni(data: bytes) -> int:
    (found,) = struct.unpack_from("!I", data, 4)
    return int(found) >> 8


def _ip(data: bytes) -> str:
    return str(ip_address(data))


def _mac(data: bytes) -> str:
    return data.hex(":")


LAYERS: dict[int, Callable[[Packet, bytes], Packet]] = {
    **dict.fromkeys(VLANS, _vlan),
    MPLS: _mpls,
    MPLS_MULTICAST: _mpls,
    NSH: _nsh,
    ARP: _arp,
    IPV4: _ipv4,
    IPV6: _ipv6,
}
