"""The function that keeps service headers: what becomes of a frame."""

from __future__ import annotations

import socket
import struct

import pytest

from pytest_kollalab.sdn.capture.decode import decode
from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.on_nodes import sfc_header

OWN, BEFORE, TARGET = (bytes.fromhex(f"fa163e0000{n:02x}") for n in (9, 1, 2))
ECHO = bytes([8, 0, 0xF7, 0xFD, 0, 1, 0, 1])


def ip(ttl: int) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28, 1, 0, ttl, 1, 0)
    packet = head + socket.inet_aton("10.0.0.1") + socket.inet_aton("10.0.0.2") + ECHO
    # With the right checksum, as the kernel makes it.
    return sfc_header.one_hop_further(packet)


def sum_of(header: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(header) // 2}H", header))
    return (total & 0xFFFF) + (total >> 16)


@pytest.fixture(autouse=True)
def _neighbour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sfc_header.neighbours, socket.inet_aton("10.0.0.2"), TARGET)


def test_a_label_becomes_that_of_the_next_step() -> None:
    came = OWN + BEFORE + b"\x88\x47" + struct.pack("!I", 511 << 12 | 0x1FF) + ip(64)
    left = sfc_header.passed_on(came, OWN, "tap")
    assert left is not None
    packet = decode(Frame(0, left, len(left)))
    assert (packet.labels, packet.ttl) == ((510,), 62)
    assert (packet.src_mac, packet.dst_mac) == ("fa:16:3e:00:00:09", "fa:16:3e:00:00:02")
    assert packet.is_echo_request
    assert sum_of(left[18:38]) == 0xFFFF


def test_the_index_of_a_service_header_falls() -> None:
    header = struct.pack("!HBBI", 0x0FC6, 1, 3, 5 << 8 | 255) + bytes(16)
    came = OWN + BEFORE + b"\x89\x4f" + header + TARGET + BEFORE + b"\x08\x00" + ip(64)
    left = sfc_header.passed_on(came, OWN, "tap")
    assert left is not None
    packet = decode(Frame(0, left, len(left)))
    assert (packet.service, packet.ttl) == ((5, 254), 62)
    assert packet.src_mac == "fa:16:3e:00:00:09"


def test_what_has_no_header_is_left_alone() -> None:
    assert sfc_header.passed_on(OWN + BEFORE + b"\x08\x00" + ip(64), OWN, "tap") is None
