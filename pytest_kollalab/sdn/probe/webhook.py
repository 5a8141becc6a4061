"""A webhook: an HTTP server on a node that records its calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn.probe.namespace import Background, NodeItself
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

# Each call becomes a line of the standard output; the port is told on standard error.
LISTEN = """
import http.server, sys
class Hook(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *said):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
print("listening on", server.server_port, file=sys.stderr, flush=True)
server.serve_forever()
"""


class Webhook:
    """An HTTP server on the loopback address of a node; `url` is its address."""

    def __init__(self, running: Background, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._running = running

    def calls(self) -> list[Any]:
        """The JSON body of each call so far."""
        return [json.loads(line) for line in self._running.output().splitlines()]

    def await_calls(self, count: int, *, within: float) -> list[Any]:
        """Wait up to `within` seconds until there have been `count` calls. Raises WaitError."""

        def look() -> list[Any] | NotYet:
            found = self.calls()
            return found if len(found) >= count else NotYet(f"{len(found)} of {count} calls")

        return wait.until("the hook to be called", look, timeout=within, interval=0.3)


@contextmanager
def listening(ssh: Ssh, node: str) -> Iterator[Webhook]:
    """Run a webhook on a node until the block ends."""
    argv = ["python3", "-u", "hook.py"]
    host = NodeItself(ssh, node)
    with host.background("hook", argv, ready="listening on", files={"hook.py": LISTEN}) as running:
        port = re.search(r"listening on (\d+)", running.errors())
        assert port is not None
        yield Webhook(running, int(port[1]))
