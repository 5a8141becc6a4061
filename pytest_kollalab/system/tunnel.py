"""A docker daemon on another host, at a socket of this one: over the user's own ssh.

The SDK's own way (docker 7.2.0, `transport/sshconn.py`) needs paramiko even where it calls the ssh
of the system, and then its time-outs hold for no answer.
"""

from __future__ import annotations

import atexit
import shutil
import socket
import tempfile
import threading
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from pytest_kollalab.system.run import connect

# What docker's own command line runs at the other end.
THERE = ("docker", "system", "dial-stdio")
BACKLOG = 64


@cache
def opened(uri: str) -> str:
    """The URL of a socket that leads to the daemon at `ssh://[user@]host[:port]`.

    It is there for the life of this process, and only its user gets to it. Each connection to it
    is one of ssh, whose words go where those of this process go.
    """
    folder = Path(tempfile.mkdtemp(prefix="kollalab-docker-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "sock"))
    listener.listen(BACKLOG)
    threading.Thread(target=_serve, args=(listener, command(uri)), daemon=True).start()
    return f"unix://{folder}/sock"


def command(uri: str) -> list[str]:
    """What connects standard input and output with the daemon."""
    parts = urlsplit(uri)
    words = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]
    words += ["-l", parts.username] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    return [*words, "--", str(parts.hostname), *THERE]


def _serve(listener: socket.socket, argv: list[str]) -> None:
    while True:
        connection, _ = listener.accept()
        # Whoever ends first, the other end of the socket or ssh, ends the other one.
        with connection:
            ended = connect(argv, connection)
        threading.Thread(target=ended, daemon=True).start()
