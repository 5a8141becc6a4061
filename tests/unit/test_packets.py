"""Packets as tcpdump prints them."""

from __future__ import annotations

from pytest_kollalab.sdn.capture.packets import parse_packets

PINGS = """\
1795380914.092004 ea:b5:9b:0f:81:d0 > 02:6c:e8:d2:1f:8b, ethertype IPv4 (0x0800), length 98: \
(tos 0x0, ttl 63, id 4411, offset 0, flags [DF], proto ICMP (1), length 84)
    10.99.0.1 > 10.99.0.2: ICMP echo request, id 1282, seq 1, length 64
1795380914.092034 02:6c:e8:d2:1f:8b > ea:b5:9b:0f:81:d0, ethertype IPv4 (0x0800), length 98: \
(tos 0x0, ttl 64, id 18, offset 0, flags [none], proto ICMP (1), length 84)
    10.99.0.2 > 10.99.0.1: ICMP echo reply, id 1282, seq 1, length 64
"""
OTHERS = """\
1795380914.500000 ea:b5:9b:0f:81:d0 > ff:ff:ff:ff:ff:ff, ethertype ARP (0x0806), length 42: \
Ethernet (len 6), IPv4 (len 4), Request who-has 10.99.0.2 tell 10.99.0.1, length 28
1795380914.600000 ea:b5:9b:0f:81:d0 > 02:6c:e8:d2:1f:8b, ethertype IPv4 (0x0800), length 47: \
(tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto UDP (17), length 33)
    10.99.0.1.43033 > 10.99.0.2.5000: UDP, length 5
1795380914.700000 ea:b5:9b:0f:81:d0 > 02:6c:e8:d2:1f:8b, ethertype 802.1Q (0x8100), length 106: \
vlan 3, p 0, ethertype MPLS unicast (0x8847), MPLS (label 511, tc 0, [S], ttl 255)
\t(tos 0x0, ttl 62, id 7, offset 0, flags [DF], proto ICMP (1), length 84)
    10.99.0.1 > 10.99.0.2: ICMP echo request, id 9, seq 1, length 64
"""


def test_a_ping_and_its_answer() -> None:
    packets = parse_packets(PINGS)
    assert len(packets) == 2
    (request,) = packets.requests
    assert (request.src, request.dst, request.ttl) == ("10.99.0.1", "10.99.0.2", 63)
    assert (request.src_mac, request.dst_mac) == ("ea:b5:9b:0f:81:d0", "02:6c:e8:d2:1f:8b")
    assert (request.protocol, request.ethertype, request.length) == ("icmp", 0x0800, 98)
    assert request.time == 1795380914.092004
    (reply,) = packets.replies
    assert packets.between("10.99.0.2", "10.99.0.1")[0] == reply


def test_arp_udp_and_labels() -> None:
    arp, udp, labelled = parse_packets(OTHERS)
    assert (arp.ethertype, arp.src) == (0x0806, "")
    assert arp.info.endswith("tell 10.99.0.1, length 28")
    assert (udp.sport, udp.dport, udp.protocol) == (43033, 5000, "udp")
    assert (labelled.vlan, labelled.ethertype, labelled.labels) == (3, 0x8847, (511,))
    assert (labelled.ttl, labelled.is_echo_request) == (62, True)


def test_a_line_that_is_cut_short_does_not_count() -> None:
    assert len(parse_packets(PINGS + "1795380915.1 ea:b5:9b")) == 2
    assert len(parse_packets("")) == 0
