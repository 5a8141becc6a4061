"""A function that keeps the service header: runs on a node with Python's standard library alone.

`sfc_header.py INGRESS EGRESS [FROM TO]` passes on what comes with an MPLS label or a service
header by the other device, with the index one lower, as RFC 8300 wants of a service function. It
is a hop: the TTL of the IP packet falls, and the frame comes from its own address. What goes to an
address FROM is sent to TO instead. What has no header it leaves alone.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import sys
import time
from pathlib import Path

MPLS, NSH, IPV4 = 0x8847, 0x894F, 0x0800
ETH_P_ALL = 3
TO_HOST = 0
ETHERNET = 14
DISCARD = 9

neighbours: dict[bytes, bytes] = {}
turned: dict[bytes, bytes] = {}


def main(ingress: str, egress: str, *turns: str) -> None:
    """Pass on until somebody stops the process."""
    for before, after in zip(turns[::2], turns[1::2], strict=True):
        turned[socket.inet_aton(before)] = socket.inet_aton(after)
    sockets = {device: opened(device) for device in (ingress, egress)}
    other = {ingress: egress, egress: ingress}
    own = {device: address(device) for device in sockets}
    by_socket = {opened: device for device, opened in sockets.items()}
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    while True:
        for ready in select.select(list(by_socket), [], [])[0]:
            device = by_socket[ready]
            out = other[device]
            # The device may be down for a while: then there is nothing to pass on.
            with contextlib.suppress(OSError):
                data, sender = ready.recvfrom(65535)
                if sender[2] == TO_HOST and (frame := passed_on(data, own[out], out)):
                    sockets[out].send(frame)


def passed_on(data: bytes, own: bytes, out: str) -> bytes | None:
    """The frame as it leaves, or None for one without a header."""
    kind = struct.unpack_from("!H", data, 12)[0]
    if kind == MPLS:
        entry = struct.unpack_from("!I", data, ETHERNET)[0]
        # The index is the lowest eight bits of the label.
        shim = struct.pack("!I", entry - (1 << 12))
        packet = one_hop_further(data[ETHERNET + 4 :])
        return neighbour(packet[16:20], out) + own + struct.pack("!H", MPLS) + shim + packet
    if kind == NSH:
        length = (struct.unpack_from("!H", data, ETHERNET)[0] & 0x3F) * 4
        header = bytearray(data[ETHERNET : ETHERNET + length])
        header[7] -= 1
        inner = data[ETHERNET + length :]
        packet = one_hop_further(inner[ETHERNET:])
        return (
            inner[:6]
            + own
            + struct.pack("!H", NSH)
            + bytes(header)
            + inner[:6]
            + own
            + struct.pack("!H", IPV4)
            + packet
        )
    return None


def one_hop_further(packet: bytes) -> bytes:
    """An IPv4 packet with its TTL one lower, and the checksum that belongs to it."""
    size = (packet[0] & 0xF) * 4
    header = bytearray(packet[:size])
    header[8] -= 1
    header[16:20] = turned.get(bytes(header[16:20]), header[16:20])
    header[10:12] = b"\0\0"
    total = sum(struct.unpack(f"!{size // 2}H", header))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    header[10:12] = struct.pack("!H", ~total & 0xFFFF)
    return bytes(header) + packet[size:]


def neighbour(ip: bytes, device: str) -> bytes:
    """The MAC address of a host on the network, as the kernel finds it out."""
    if ip not in neighbours:
        text = socket.inet_ntoa(ip)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
            asking.sendto(b"?", (text, DISCARD))
        for _ in range(100):
            for line in Path("/proc/net/arp").read_text().splitlines()[1:]:
                words = line.split()
                if words[0] == text and words[3] != "00:00:00:00:00:00":
                    neighbours[ip] = bytes.fromhex(words[3].replace(":", ""))
            if ip in neighbours:
                break
            time.sleep(0.01)
    return neighbours[ip]


def opened(device: str) -> socket.socket:
    """A socket that gets and sends whole frames of a device."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.bind((device, ETH_P_ALL))
    return made


def address(device: str) -> bytes:
    """The MAC address of a device."""
    text = Path(f"/sys/class/net/{device}/address").read_text().strip()
    return bytes.fromhex(text.replace(":", ""))


if __name__ == "__main__":
    main(*sys.argv[1:])
