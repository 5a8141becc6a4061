"""A relay on this host for builds: it adds logins, which so get into no image and no build log."""

from __future__ import annotations

import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from pytest_kollalab.system import http

if TYPE_CHECKING:
    from docker import DockerClient
    from requests import Response, Session

URL_WITH_LOGIN = re.compile(r"https?://[^\s/]+@[^\s,;|'\"]+")
# A link in a page or in JSON that begins at the root of its server.
ROOTED = re.compile(r"""(href=["']|"url":\s*")/(?!/)""")
LOOPBACK = "127.0.0.1"
TIMEOUT = 120.0
CHUNK = 1 << 16
# Requests pass these on, and answers those.
ASKED = ("Accept", "User-Agent", "Range")
ANSWERED = ("Content-Type", "Content-Range", "ETag", "Last-Modified")
DEAD = 502


class Relay:
    """Passes requests on to servers that want a login.

    It listens once there is such a server. Its own URLs have a secret of their own, and work until
    it stops.

    Args:
        address: The address to listen on.
        ca: A file with additional certificate authorities.
    """

    def __init__(self, address: str, ca: str = "") -> None:
        self.address = address
        self.ca = ca
        self.servers: list[tuple[str, Session]] = []
        self._secret = secrets.token_urlsafe(24)
        self._server: ThreadingHTTPServer | None = None

    def through(self, text: str) -> str:
        """The text with each URL that has a login replaced by one of the relay."""
        return URL_WITH_LOGIN.sub(lambda found: self._own(found[0]), text)

    def stop(self) -> None:
        """Stop listening. The URLs of the relay then lead nowhere."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        for _, session in self.servers:
            session.close()

    def base(self, number: int) -> str:
        """The URL of the relay that stands for the root of a server."""
        return f"http://{self.address}:{self._listen().server_port}/{self._secret}/{number}"

    def origin(self, path: str) -> tuple[int, str] | None:
        """The number of the server and the URL that a path of the relay stands for, or None."""
        _, secret, number, *rest = [*path.split("/", 3), "", ""][:4]
        if not secrets.compare_digest(secret.encode(), self._secret.encode()):
            return None
        if not number.isdigit() or int(number) >= len(self.servers):
            return None
        return int(number), f"{self.servers[int(number)][0]}/{rest[0]}"

    def _own(self, url: str) -> str:
        parts = urlsplit(url)
        login = (unquote(parts.username or ""), unquote(parts.password or ""))
        root = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self.servers.append((root, http.session(login, ca=self.ca)))
        path = urlunsplit(parts._replace(scheme="", netloc="")).lstrip("/")
        return f"{self.base(len(self.servers) - 1)}/{path}"

    def _listen(self) -> ThreadingHTTPServer:
        if self._server is None:
            relay = self

            class Handler(_Handler):
                of = relay

            self._server = ThreadingHTTPServer((self.address, 0), Handler)
            threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self._server


class _Handler(BaseHTTPRequestHandler):
    """Answers with what the server answers to the same request with the login."""

    of: Relay

    def do_GET(self) -> None:
        import requests

        found = self.of.origin(self.path)
        if found is None:
            self.send_error(404)
            return
        number, url = found
        asked = {name: self.headers[name] for name in ASKED if name in self.headers}
        # As it is: what the server compressed would have another length here.
        asked["Accept-Encoding"] = "identity"
        root, session = self.of.servers[number]
        try:
            with session.get(url, headers=asked, stream=True, timeout=TIMEOUT) as answer:
                self._pass_on(answer, root, self.of.base(number))
        except requests.RequestException:
            self.send_error(DEAD)

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def log_message(self, *_: Any) -> None:
        """Print nothing."""

    def _pass_on(self, answer: Response, root: str, base: str) -> None:
        kind = answer.headers.get("Content-Type", "")
        page = "html" in kind or "json" in kind
        body = _relinked(answer.text, root, base).encode() if page else b""
        length = str(len(body)) if page else answer.headers.get("Content-Length", "")
        self.send_response(answer.status_code)
        for name in ANSWERED:
            if name in answer.headers:
                self.send_header(name, answer.headers[name])
        if length:
            self.send_header("Content-Length", length)
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body)
        for chunk in answer.iter_content(CHUNK) if not page else ():
            self.wfile.write(chunk)


@contextmanager
def running(client: DockerClient, ca: str = "") -> Iterator[Relay]:
    """A relay that builds of a docker daemon can reach, as long as the block runs."""
    relay = Relay(address_for(client), ca)
    try:
        yield relay
    finally:
        relay.stop()


def address_for(client: DockerClient) -> str:
    """The address of this host at which builds reach it. They use the network of docker's host.

    That host has the address of the network `bridge`. If we do not, we are in a container, which it
    reaches by the address that leads there.
    """
    for network in client.api.networks(names=["bridge"]):
        for config in (network.get("IPAM") or {}).get("Config") or []:
            gateway = config.get("Gateway", "")
            if "." in gateway and (own := _towards(gateway)) not in ("", gateway):
                return own
    return LOOPBACK


def _towards(address: str) -> str:
    """The address of this host for packets to another one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((address, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def _relinked(text: str, root: str, base: str) -> str:
    """A page with its links to its own server replaced by those of the relay."""
    return ROOTED.sub(rf"\1{base}/", text.replace(f"{root}/", f"{base}/"))
