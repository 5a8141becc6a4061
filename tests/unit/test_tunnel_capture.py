"""The wire: GRE packets with labels, as tcpdump prints them."""

from pytest_kollalab.sdn.capture.tunnel_capture import MPLS, parse_tunnelled

TEXT = """\
1795573000.100000 02:42:0a:41:03:0c > 02:42:0a:41:03:0b, ethertype IPv4 (0x0800), length 126: \
(tos 0x0, ttl 64, id 0, offset 0, flags [DF], proto GRE (47), length 112)
    10.65.3.12 > 10.65.3.11: GREv0, Flags [none], proto MPLS unicast (0x8847), length 92
	MPLS (label 17, tc 0, [S], ttl 63)
	(tos 0x0, ttl 63, id 4242, offset 0, flags [DF], proto ICMP (1), length 84)
    10.200.1.5 > 10.200.2.7: ICMP echo request, id 9, seq 1, length 64
1795573000.200000 02:42:0a:41:03:0c > 02:42:0a:41:03:0b, ethertype IPv4 (0x0800), length 60: \
(tos 0xc0, ttl 1, id 0, offset 0, flags [none], proto TCP (6), length 46)
    10.65.3.12.41234 > 10.65.3.254.179: Flags [.], cksum 0x1234 (correct), ack 1, win 512, length 0
"""


def test_a_packet_in_a_tunnel_has_its_labels_and_what_is_inside() -> None:
    (packet,) = parse_tunnelled(TEXT)
    assert (packet.source, packet.target) == ("10.65.3.12", "10.65.3.11")
    assert packet.protocol == MPLS
    assert packet.labels == (17,)
    assert (packet.src, packet.dst, packet.ttl) == ("10.200.1.5", "10.200.2.7", 63)
    assert packet.info.startswith("ICMP echo request")


def test_nothing_else_is_a_packet_in_a_tunnel() -> None:
    assert parse_tunnelled(TEXT.partition("1795573000.2")[2]) == []
