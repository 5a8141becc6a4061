"""A small TCP and UDP echo, sent to a node as it is: runs with Python's standard library alone.

`echo.py listen tcp|udp ADDRESS PORT NAME` answers what it gets with "NAME " in front;
`echo.py ask tcp|udp ADDRESS PORT TIMEOUT SOURCE_PORT TEXT` prints the answer and the seconds.
`echo.py spray tcp|udp SOURCE ADDRESS PORT FIRST FLOWS PACKETS` sends from many ports, and for TCP
just the first packet of a connection.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time

SYN = 2
KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def listen(protocol: str, address: str, port: str, name: str) -> None:
    """Answer until somebody stops the process."""
    server = socket.socket(socket.AF_INET, KINDS[protocol])
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((address, int(port)))
    prefix = name.encode() + b" "
    if protocol == "tcp":
        server.listen(16)
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    while True:
        if protocol == "udp":
            data, peer = server.recvfrom(65535)
            server.sendto(prefix + data, peer)
        else:
            connection, _ = server.accept()
            threading.Thread(target=answer, args=(connection, prefix), daemon=True).start()


def answer(connection: socket.socket, prefix: bytes) -> None:
    """Answer one TCP client with all that it sent."""
    with connection:
        connection.sendall(prefix)
        while data := connection.recv(65536):
            connection.sendall(data)


def ask(protocol: str, address: str, port: str, timeout: str, source: str, text: str) -> None:
    """Send a text and print what came back."""
    started = time.monotonic()
    said, error = b"", ""
    try:
        with socket.socket(socket.AF_INET, KINDS[protocol]) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            client.bind(("", int(source)))
            client.settimeout(float(timeout))
            client.connect((address, int(port)))
            client.sendall(text.encode())
            if protocol == "udp":
                said = client.recv(65535)
            else:
                client.shutdown(socket.SHUT_WR)
                while data := client.recv(65536):
                    said += data
    except OSError as problem:
        error = str(problem) or type(problem).__name__
    seconds = round(time.monotonic() - started, 4)
    sys.stdout.write(json.dumps({"answer": said.decode(), "error": error, "seconds": seconds}))


def spray(
    protocol: str, source: str, address: str, port: str, first: str, flows: str, packets: str
) -> None:
    """Send packets from each of many source ports, one of each before the next of any."""
    number = socket.IPPROTO_TCP if protocol == "tcp" else socket.IPPROTO_UDP
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, number) as raw:
        for _ in range(int(packets)):
            for sport in range(int(first), int(first) + int(flows)):
                raw.sendto(segment(number, source, address, sport, int(port)), (address, 0))
                # A burst would overflow what is between here and the other end.
                time.sleep(0.0005)


def segment(number: int, source: str, address: str, sport: int, dport: int) -> bytes:
    """A TCP segment that opens a connection, or a UDP datagram; with its checksum."""
    tcp = number == socket.IPPROTO_TCP
    body = struct.pack("!HHIIBBHHH", sport, dport, 1, 0, 5 << 4, SYN, 1024, 0, 0)
    if not tcp:
        body = struct.pack("!HHHH", sport, dport, 8, 0)
    ends = socket.inet_aton(source) + socket.inet_aton(address)
    words = struct.pack("!8sBBH", ends, 0, number, len(body)) + body
    total = sum(struct.unpack(f"!{len(words) // 2}H", words))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    at = 16 if tcp else 6
    return body[:at] + struct.pack("!H", ~total & 0xFFFF) + body[at + 2 :]


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen(*sys.argv[2:])
    elif sys.argv[1] == "spray":
        spray(*sys.argv[2:])
    else:
        ask(*sys.argv[2:])
