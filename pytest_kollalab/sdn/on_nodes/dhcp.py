"""A question to DHCP servers, sent to a node as it is: runs with Python's standard library alone.

`dhcp.py DEVICE MAC SECONDS` prints the first offer as JSON, or `{}`. It takes no address.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from typing import Any

IPV4 = 0x0800
CLIENT, SERVER = 68, 67
MAGIC = b"\x63\x82\x53\x63"
REPLY = 2
DISCOVER, OFFER = 1, 2
PAD, END, TYPE, WANTED = 0, 255, 53, 55
ADDRESSES = {1: "netmask", 3: "router", 6: "dns", 54: "server"}
NUMBERS = {26: "mtu", 51: "lease"}
ROUTES = 121


def checksum(data: bytes) -> int:
    """The checksum of an IPv4 header."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def discover(mac: bytes, number: int) -> bytes:
    """The frame of a DHCPDISCOVER, as a client without an address sends it."""
    wanted = bytes([*ADDRESSES, *NUMBERS, ROUTES])
    options = MAGIC + bytes([TYPE, 1, DISCOVER, WANTED, len(wanted)]) + wanted + bytes([END])
    # The flag asks for an answer to all, which no address is needed for.
    head = struct.pack("!BBBBIHH16x6s10x192x", 1, 1, 6, 0, number, 0, 0x8000, mac)
    payload = head + options
    udp = struct.pack("!HHHH", CLIENT, SERVER, 8 + len(payload), 0) + payload
    ip = struct.pack("!BBHHHBBH4x", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + b"\xff" * 4
    ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
    return b"\xff" * 6 + mac + struct.pack("!H", IPV4) + ip + udp


def offer(frame: bytes, number: int) -> dict[str, Any] | None:
    """What a frame offers, if it is the DHCPOFFER to this request; otherwise None."""
    if len(frame) < 14 + 20 + 8 + 240 or struct.unpack_from("!H", frame, 12)[0] != IPV4:
        return None
    start = 14 + (frame[14] & 0xF) * 4
    if frame[23] != 17 or struct.unpack_from("!HH", frame, start) != (SERVER, CLIENT):
        return None
    message = frame[start + 8 :]
    (asked,) = struct.unpack_from("!I", message, 4)
    if message[0] != REPLY or asked != number or message[236:240] != MAGIC:
        return None
    found: dict[str, Any] = {"address": socket.inet_ntoa(message[16:20])}
    kind, rest = 0, message[240:]
    while rest and rest[0] != END:
        if rest[0] == PAD:
            rest = rest[1:]
            continue
        code, value, rest = rest[0], rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
        if code == TYPE:
            kind = value[0]
        elif code in ADDRESSES:
            parts = [socket.inet_ntoa(value[at : at + 4]) for at in range(0, len(value), 4)]
            found[ADDRESSES[code]] = parts[0] if parts else ""
        elif code in NUMBERS:
            found[NUMBERS[code]] = int.from_bytes(value, "big")
        elif code == ROUTES:
            found["routes"] = routes(value)
    return found if kind == OFFER else None


def routes(value: bytes) -> dict[str, str]:
    """The routes of option 121: prefixes, each with its gateway."""
    found: dict[str, str] = {}
    at = 0
    while at < len(value):
        bits = value[at]
        size = (bits + 7) // 8
        network = value[at + 1 : at + 1 + size] + b"\0" * (4 - size)
        gateway = value[at + 1 + size : at + 5 + size]
        found[f"{socket.inet_ntoa(network)}/{bits}"] = socket.inet_ntoa(gateway)
        at += 5 + size
    return found


def ask(device: str, mac: str, seconds: str) -> dict[str, Any]:
    """Ask once a second, until there is an offer or the time is over."""
    number = int.from_bytes(os.urandom(4), "big")
    hardware = bytes.fromhex(mac.replace(":", ""))
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(IPV4))
    link.bind((device, IPV4))
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        link.send(discover(hardware, number))
        again = min(end, time.monotonic() + 1)
        while (left := again - time.monotonic()) > 0:
            link.settimeout(left)
            try:
                found = offer(link.recv(2000), number)
            except TimeoutError:
                break
            if found is not None:
                return found
    return {}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(ask(*sys.argv[1:])))
