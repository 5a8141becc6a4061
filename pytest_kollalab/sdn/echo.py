"""A small TCP and UDP echo, sent to a node as it is: runs with Python's standard library alone.

`echo.py listen tcp|udp ADDRESS PORT NAME` answers what it gets with "NAME " in front;
`echo.py ask tcp|udp ADDRESS PORT TIMEOUT SOURCE_PORT TEXT` prints the answer and the seconds.
`echo.py spray ADDRESS PORT FIRST FLOWS PACKETS` sends UDP packets from many ports.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time

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


def spray(address: str, port: str, first: str, flows: str, packets: str) -> None:
    """Send packets from each of many source ports, one of each before the next of any."""
    clients = []
    for number in range(int(flows)):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind(("", int(first) + number))
        clients.append(client)
    for _ in range(int(packets)):
        for client in clients:
            client.sendto(b"spray", (address, int(port)))
            # A burst would overflow what is between here and the other end.
            time.sleep(0.0005)


if __name__ == "__main__":
    if sys.argv[1] == "listen":
        listen(*sys.argv[2:])
    elif sys.argv[1] == "spray":
        spray(*sys.argv[2:])
    else:
        ask(*sys.argv[2:])
