"""What ping and traceroute print."""

from __future__ import annotations

from pytest_kollalab.sdn.probe.ping import parse_ping, parse_traceroute

ANSWERED = """\
PING 10.200.1.20 (10.200.1.20) 56(84) bytes of data.
64 bytes from 10.200.1.20: icmp_seq=1 ttl=64 time=1.52 ms
64 bytes from 10.200.1.20: icmp_seq=2 ttl=64 time=0.071 ms

--- 10.200.1.20 ping statistics ---
2 packets transmitted, 2 received, 0% packet loss, time 201ms
rtt min/avg/max/mdev = 0.071/0.795/1.520/0.724 ms
"""
LOST = """\
PING 10.200.1.99 (10.200.1.99) 56(84) bytes of data.
From 10.200.1.10 icmp_seq=1 Destination Host Unreachable

--- 10.200.1.99 ping statistics ---
1 packets transmitted, 0 received, +1 errors, 100% packet loss, time 0ms
"""
TRACE = """\
traceroute to 10.200.2.5 (10.200.2.5), 10 hops max, 60 byte packets
 1  * 10.200.1.1  1.402 ms *
 2  * * *
 3  10.200.2.5  2.011 ms  1.930 ms  1.922 ms
"""


def test_answered() -> None:
    result = parse_ping("10.200.1.20", ANSWERED)
    assert result
    assert (result.sent, result.received) == (2, 2)
    assert (result.times, result.ttls) == ((1.52, 0.071), (64, 64))


def test_lost() -> None:
    result = parse_ping("10.200.1.99", LOST)
    assert not result
    assert str(result) == "ping 10.200.1.99: 0 of 1 answered"
    assert not parse_ping("10.200.1.99", "ping: connect: Network is unreachable")


def test_hops() -> None:
    assert parse_traceroute(TRACE) == ("10.200.1.1", "*", "10.200.2.5")
