"""The observer: it keeps each frame of chosen devices; runs on a node, with Python's library alone.

`observer.py SOCKET` answers one line a connection, as JSON. `watch NAMESPACE DEVICE ...` begins to
look and answers with the node's clock (the namespace `-` is the node's own); `forget DEVICE ...`
ends that; `take` answers with what was seen since the last time. A frame is kept by the kernel the
moment it passes: after a ping has been answered, nothing of it is still on the way to us.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time

ETH_P_ALL = 3
SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
ROOM = 8 << 20
# Enough for Ethernet, a service header, Ethernet again, IPv4 and the ports.
BYTES = 160
WAYS = {0: "in", 4: "out"}


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

    def take(self) -> list[tuple[str, float, str, str]]:
        """Device, time, way (in, out, or by for what was not for it) and bytes of each frame."""
        return [
            (device, *frame) for device, looking in self.sockets.items() for frame in drain(looking)
        ]


def packet_socket(device: str) -> socket.socket:
    """A socket that gets all frames of a device in the current namespace."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.setblocking(False)
    made.bind((device, ETH_P_ALL))
    return made


def drain(looking: socket.socket) -> list[tuple[float, str, str]]:
    """All frames that wait in a socket."""
    frames: list[tuple[float, str, str]] = []
    while True:
        try:
            data, extra, _, address = looking.recvmsg(BYTES, 64)
        except BlockingIOError:
            return frames
        except OSError:
            # The device went down or away. It is told once, before what was seen up to then.
            continue
        seconds, nanoseconds = struct.unpack("qq", extra[0][2][:16])
        way = WAYS.get(address[2], "by")
        frames.append((seconds + nanoseconds / 1e9, way, data.hex()))


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
