"""The observer: it keeps each frame of chosen devices; runs on a node, with Python's library alone.

`observer.py SOCKET` answers one line a connection, as JSON. `watch NAMESPACE DEVICE ...` begins to
look and answers with the node's clock (the namespace `-` is the node's own); `forget DEVICE ...`
ends that; `take` answers with what was seen since the last time, as a pcapng file in base64. A
frame is kept by the kernel the moment it passes: after a ping has been answered, nothing of it is
still on the way to us.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA = 263, 8
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
ROOM = 8 << 20
# Of each frame: enough for headers in a tunnel.
BYTES = 256
# The flags of pcapng by the kernel's type of a packet: unicast to here, outbound; the rest, inbound
# and promiscuous, was for others or for all.
FLAGS = {0: 1 | 1 << 2, 4: 2}
FOR_OTHERS = 1 | 4 << 2
# The kernel takes the outer VLAN tag from the frame and tells it beside it.
TAG_IS_THERE, TAG_HAS_TYPE, VLAN = 1 << 4, 1 << 6, 0x8100

# Of a frame: index of the device, time in nanoseconds, flags, bytes, length of all of it.
Seen = tuple[int, int, int, bytes, int]


class Observer:
    """Sockets of packets by the device that each looks at."""

    def __init__(self) -> None:
        self.sockets: dict[str, socket.socket] = {}

    def watch(self, *words: str) -> float:
        """Look at devices in namespaces from now on; the time by this clock."""
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            for namespace, device in zip(words[::2], words[1::2], strict=True):
                if device not in self.sockets:
                    path = "/proc/1/ns/net" if namespace == "-" else f"/run/netns/{namespace}"
                    there = os.open(path, os.O_RDONLY)
                    os.setns(there)  # type: ignore[attr-defined,unused-ignore]  # Python 3.12
                    os.close(there)
                    self.sockets[device] = packet_socket(device)
        finally:
            os.setns(home)  # type: ignore[attr-defined,unused-ignore]
            os.close(home)
        return time.time()

    def forget(self, *devices: str) -> float:
        """Look no more."""
        for device in devices:
            if device in self.sockets:
                self.sockets.pop(device).close()
        return time.time()

    def take(self) -> str:
        """All frames since the last time, device by device."""
        seen = (
            frame
            for index, looking in enumerate(self.sockets.values())
            for frame in drain(index, looking)
        )
        return base64.b64encode(pcapng(list(self.sockets), seen)).decode()


def packet_socket(device: str) -> socket.socket:
    """A socket that gets all frames of a device in the current namespace."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    made.setblocking(False)
    made.bind((device, ETH_P_ALL))
    return made


def drain(index: int, looking: socket.socket) -> Iterator[Seen]:
    """All frames that wait in a socket."""
    while True:
        try:
            data, extra, _, address = looking.recvmsg(BYTES, 256)
        except BlockingIOError:
            return
        except OSError:
            # The device went down or away. It is told once, before what was seen up to then.
            continue
        told = {(level, kind): content for level, kind, content in extra}
        seconds, nanoseconds = struct.unpack_from("qq", told[socket.SOL_SOCKET, SO_TIMESTAMPNS])
        flags = FLAGS.get(address[2], FOR_OTHERS)
        whole = whole_frame(data, told[SOL_PACKET, PACKET_AUXDATA])
        yield (index, seconds * 10**9 + nanoseconds, flags, *whole)


def whole_frame(data: bytes, auxiliary: bytes) -> tuple[bytes, int]:
    """A frame with its VLAN tag in place, and its length, by what the kernel told beside it."""
    status, length, _, _, _, tag, kind = struct.unpack_from("IIIHHHH", auxiliary)
    if not status & TAG_IS_THERE:
        return data, length
    inserted = struct.pack("!HH", kind if status & TAG_HAS_TYPE else VLAN, tag)
    return data[:12] + inserted + data[12:], length + len(inserted)


def pcapng(devices: Sequence[str], frames: Iterable[Seen]) -> bytes:
    """A file of the format pcapng, with an interface for each device."""
    section = struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)
    blocks = [block(0x0A0D0D0A, section)]
    for device in devices:
        # The name, and that times are in nanoseconds.
        options = option(2, device.encode()) + option(9, b"\x09") + option(0, b"")
        blocks.append(block(1, struct.pack("<HHI", 1, 0, 0) + options))
    for index, when, flags, data, length in frames:
        header = struct.pack("<IIIII", index, when >> 32, when & 0xFFFFFFFF, len(data), length)
        options = option(2, struct.pack("<I", flags)) + option(0, b"")
        blocks.append(block(6, header + padded(data) + options))
    return b"".join(blocks)


def block(kind: int, content: bytes) -> bytes:
    """A block of pcapng."""
    length = struct.pack("<I", len(content) + 12)
    return struct.pack("<I", kind) + length + content + length


def option(code: int, value: bytes) -> bytes:
    """An option of pcapng."""
    return struct.pack("<HH", code, len(value)) + padded(value)


def padded(data: bytes) -> bytes:
    """Bytes, filled up to a multiple of four."""
    return data + bytes(-len(data) % 4)


def main(path: str) -> None:
    """Answer until somebody stops the process."""
    observer = Observer()
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(path)
    server.listen(4)
    while True:
        connection, _ = server.accept()
        with connection:
            words = connection.makefile().readline().split()
            try:
                answer = getattr(observer, words[0])(*words[1:])
            except Exception as error:  # noqa: BLE001  # whoever asked shall know
                answer = {"error": f"{type(error).__name__}: {error}"}
            connection.sendall(json.dumps(answer).encode())


if __name__ == "__main__":
    main(sys.argv[1])
