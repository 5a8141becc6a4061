"""Another host: where it is, and how SSH reaches the nodes on it."""

from __future__ import annotations

import re
import shlex
import socket
from contextlib import suppress
from dataclasses import dataclass


@dataclass(frozen=True)
class Remote:
    """A host that is reached by SSH; `destination` is [user@]host."""

    destination: str
    port: int | None = None
    keyfile: str = ""
    program: str = "ssh"

    @property
    def host(self) -> str:
        """Its name or address."""
        return self.destination.rpartition("@")[2]

    @property
    def proxy(self) -> str:
        """The ProxyCommand by which ssh reaches an address behind that host."""
        words = [self.program]
        words += ["-p", str(self.port)] if self.port else []
        words += ["-i", self.keyfile] if self.keyfile else []
        return shlex.join([*words, "-o", "BatchMode=yes", self.destination]) + " -W %h:%p"


def is_here(host: str) -> bool:
    """Whether a name leads to the loopback of this host."""
    with suppress(OSError):
        found = socket.getaddrinfo(host, None)
        return all(re.match(r"127\.|::1$", str(entry[4][0])) for entry in found)
    return False
