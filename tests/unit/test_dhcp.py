"""A question to DHCP servers: the frame that is sent, and the offer that OVN 25.03 gave to it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.sdn.capture.decode import decode
from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.on_nodes import dhcp
from pytest_kollalab.sdn.probe.probe import DhcpOffer, Probe

MAC, NUMBER = bytes.fromhex("fa163e00000a"), 0x1234ABCD
RECORDED = Path(__file__).parents[1] / "recorded" / "ovn" / "dhcp-offer.hex"
OFFERED = {
    "address": "10.9.1.10",
    "netmask": "255.255.255.0",
    "router": "10.9.1.1",
    "dns": "10.9.1.1",
    "server": "10.9.1.1",
    "mtu": 1442,
    "lease": 43200,
    "routes": {"169.254.169.254/32": "10.9.1.2", "0.0.0.0/0": "10.9.1.1"},
}


def offered() -> bytes:
    return bytes.fromhex(RECORDED.read_text())


def test_the_question_is_for_all_and_from_nobody() -> None:
    frame = dhcp.discover(MAC, NUMBER)
    packet = decode(Frame(0.0, frame, len(frame)))
    assert (packet.src_mac, packet.dst_mac) == ("fa:16:3e:00:00:0a", "ff:ff:ff:ff:ff:ff")
    assert (packet.src, packet.dst) == ("0.0.0.0", "255.255.255.255")
    assert (packet.protocol, packet.sport, packet.dport) == ("udp", 68, 67)
    # The header with its checksum adds up.
    assert dhcp.checksum(frame[14:34]) == 0


def test_what_ovn_offered() -> None:
    assert dhcp.offer(offered(), NUMBER) == OFFERED


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (12, b"\x86\xdd"),  # IPv6
        (23, b"\x06"),  # TCP
        (34, b"\x00\x35"),  # from another port
        (42, b"\x01"),  # a question
        (46, b"\0\0\0\1"),  # to another question
        (278, b"\0"),  # BOOTP without options
    ],
)
def test_other_frames_are_no_offer(at: int, value: bytes) -> None:
    frame = offered()
    assert dhcp.offer(frame[:at] + value + frame[at + len(value) :], NUMBER) is None


def test_half_a_frame_is_no_offer() -> None:
    assert dhcp.offer(offered()[:200], NUMBER) is None


def test_an_acknowledgement_is_no_offer() -> None:
    kind = bytes([dhcp.TYPE, 1, dhcp.OFFER])
    assert dhcp.offer(offered().replace(kind, bytes([dhcp.TYPE, 1, 5])), NUMBER) is None


def probe(said: dict[str, Any]) -> Probe:
    namespace = SimpleNamespace(run=lambda *_, **__: SimpleNamespace(stdout=json.dumps(said)))
    port = SimpleNamespace(device="tap1", mac="fa:16:3e:00:00:0a", ip="10.9.1.10")
    return Probe("here", cast("Any", None), cast("Any", namespace), cast("Any", [port]))


def test_an_offer_is_true_and_none_is_false() -> None:
    found = probe(OFFERED).dhcp_offer()
    assert found
    assert (found.address, found.mtu) == ("10.9.1.10", 1442)
    assert not probe({}).dhcp_offer()
    assert probe({}).dhcp_offer() == DhcpOffer()
