"""A bulk transfer over TCP, sent to a node as it is: runs with Python's standard library alone.

`bulk.py receive ADDRESS PORT` answers each sender with the digest of what it got;
`bulk.py send ADDRESS PORT BYTES TIMEOUT` sends, and prints bytes, seconds, and whether the digest
that came back is that of what was sent.
"""

from __future__ import annotations

import hashlib
import json
import random
import socket
import sys
import time

BLOCK = 64 * 1024


def receive(address: str, port: str) -> None:
    """Answer until somebody stops the process."""
    with socket.create_server((address, int(port))) as server:
        sys.stderr.write("ready\n")
        sys.stderr.flush()
        while True:
            connection, _ = server.accept()
            with connection:
                whole = hashlib.sha256()
                while data := connection.recv(BLOCK):
                    whole.update(data)
                connection.sendall(whole.hexdigest().encode())


def send(address: str, port: str, size: str, timeout: str) -> None:
    """Send that many bytes, which nobody has sent before, and print how it went."""
    block = random.randbytes(BLOCK)
    left, whole, error, answer = int(size), hashlib.sha256(), "", b""
    started = time.monotonic()
    try:
        with socket.create_connection((address, int(port)), float(timeout)) as client:
            while left > 0:
                data = (left.to_bytes(8, "big") + block)[: min(left, BLOCK)]
                client.sendall(data)
                whole.update(data)
                left -= len(data)
            client.shutdown(socket.SHUT_WR)
            while data := client.recv(BLOCK):
                answer += data
    except OSError as problem:
        error = str(problem) or type(problem).__name__
    result = {
        "sent": int(size) - left,
        "seconds": round(time.monotonic() - started, 4),
        "whole": answer.decode() == whole.hexdigest(),
        "error": error,
    }
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        receive(*sys.argv[2:])
    else:
        send(*sys.argv[2:])
