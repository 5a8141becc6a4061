"""Sessions over HTTP: whom they trust, and what they tell of a failure."""

from __future__ import annotations

import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from pytest_kollalab.system import http


class Told(BaseHTTPRequestHandler):
    """Tells the login that it was given."""

    def do_GET(self) -> None:
        said = self.headers.get("Authorization", "none").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    made = HTTPServer(("127.0.0.1", 0), Told)
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


def authority(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that is its own authority, and its key."""
    made = folder / f"{name}.crt", folder / f"{name}.key"
    words = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
    words += ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    subprocess.run(
        ["openssl", "req", "-x509", *words, "-out", made[0], "-keyout", made[1]],
        check=True,
        capture_output=True,
    )
    return made


def test_the_authorities_of_the_host_count_and_another_beside_them(
    server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = authority(tmp_path, "ours")
    stranger, _ = authority(tmp_path, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    url = f"https://127.0.0.1:{server.server_port}/"
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(stranger))
    with http.session(ca=str(certificate)) as session:
        assert session.get(url, timeout=5).ok
    with http.session() as session, pytest.raises(requests.exceptions.SSLError) as caught:
        session.get(url, timeout=5)
    assert isinstance(http.root(caught.value), ssl.SSLCertVerificationError)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for ca in ("", str(stranger)):
        with http.session(ca=ca) as session:
            assert session.get(url, timeout=5).ok


def test_nobody_elses_login_goes_along(
    server: HTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    url = f"http://127.0.0.1:{server.server_port}/"
    with http.session() as session:
        assert session.get(url, timeout=5).text == "none"
        given = session.get(url, headers={"Authorization": "Bearer t0ken"}, timeout=5)
        assert given.text == "Bearer t0ken"
    with http.session(("me", "secret")) as session:
        assert session.get(url, timeout=5).text == "Basic bWU6c2VjcmV0"


def test_the_reason_is_what_the_system_said() -> None:
    with http.session() as session, pytest.raises(requests.ConnectionError) as caught:
        session.get("http://127.0.0.1:1/", timeout=5)
    assert str(http.root(caught.value)) == "[Errno 111] Connection refused"
