"""The greeter's server: answers every request with a greeting from the host it runs on."""

from __future__ import annotations

import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Answer(BaseHTTPRequestHandler):
    """One request."""

    def do_GET(self) -> None:
        """Greet."""
        answer = f"{os.environ['GREETER_GREETING']} from {socket.gethostname()}\n".encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


if __name__ == "__main__":
    address = os.environ["GREETER_ADDRESS"], int(os.environ["GREETER_PORT"])
    ThreadingHTTPServer(address, Answer).serve_forever()
