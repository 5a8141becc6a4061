"""A package index that wants a login, with one package."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOGIN = "me:s3cret/word"
WRITTEN = "me:s3cret%2Fword"
BASIC = base64.b64encode(LOGIN.encode()).decode()
WHEEL = "thing-1.0-py3-none-any.whl"


def wheel() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("thing.py", "")
        file.writestr(
            "thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n"
        )
        file.writestr(
            "thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\nGenerator: x\n"
        )
        file.writestr("thing-1.0.dist-info/RECORD", "")
    return buffer.getvalue()


class Index:
    """The index. How it links to its file is up to the test."""

    def __init__(self) -> None:
        self.link = "{root}/files/{wheel}"
        self.seen: list[str] = []
        self.wheel = wheel()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told, wanted = self.headers.get("Authorization", ""), f"Basic {BASIC}"
                served.seen.append(self.path)
                status, kind, body = served.answer(self.path) if told == wanted else (401, "", b"")
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.host = f"127.0.0.1:{self.http.server_port}"

    def answer(self, path: str) -> tuple[int, str, bytes]:
        if path == f"/repo/simple/thing/files/{WHEEL}" or path == f"/files/{WHEEL}":
            return 200, "application/octet-stream", self.wheel
        link = self.link.format(root=f"http://{self.host}", wheel=WHEEL)
        digest = hashlib.sha256(self.wheel).hexdigest()
        if path == "/repo/simple/thing/":
            return 200, "text/html", f'<a href="{link}#sha256={digest}">{WHEEL}</a>'.encode()
        if path == "/proxy/example.org/m/@v/list":
            return 200, "text/plain", b"v1.0.0\n"
        return 404, "text/plain", b""


@contextmanager
def serving() -> Iterator[Index]:
    """An index on the loopback, as long as the block runs."""
    found = Index()
    try:
        yield found
    finally:
        found.http.shutdown()
        found.http.server_close()
