"""A local socket that leads to a docker daemon on another host, through the user's own ssh.

The docker SDK's own SSH transport (docker 7.2.0, `transport/sshconn.py`) needs paramiko even if it
runs the system's ssh, and then ignores its timeouts.
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

# The command that the docker command line runs on the other host.
THERE = ("docker", "system", "dial-stdio")
BACKLOG = 64


@cache
def opened(uri: str) -> str:
    """Open a local socket that leads to the daemon at `ssh://[user@]host[:port]`.

    The socket exists until this process ends, and only its user can connect to it. Each connection
    starts an ssh process, which writes its messages to the standard error of this process.

    Returns:
        The URL of the socket.
    """
    folder = Path(tempfile.mkdtemp(prefix="kollalab-docker-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "sock"))
    listener.listen(BACKLOG)
    threading.Thread(target=_serve, args=(listener, command(uri)), daemon=True).start()
    return f"unix://{folder}/sock"


def command(uri: str) -> list[str]:
    """The command that connects its standard input and output to the daemon."""
    parts = urlsplit(uri)
    words = ["ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=30"]
    words += ["-l", parts.username] if parts.username else []
    words += ["-p", str(parts.port)] if parts.port else []
    return [*words, "--", str(parts.hostname), *THERE]


def _serve(listener: socket.socket, argv: list[str]) -> None:
    while True:
        connection, _ = listener.accept()
        # ssh ends when the socket is closed, and the other way round.
        with connection:
            ended = connect(argv, connection)
        threading.Thread(target=ended, daemon=True).start()
