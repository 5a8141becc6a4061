"""Downloads that go wrong: a mirror that hangs, one without the suite, a file that is another."""

from __future__ import annotations

import hashlib
import http.server
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.releases.releases import SourceArchive
from pytest_kollalab.settings.config import Options
from pytest_kollalab.stages.images import sources
from pytest_kollalab.system import debian
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def hanging() -> Iterator[str]:
    """A server that lets everybody in and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[str]:
    """A server that has nothing."""

    class Quiet(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_mirror_that_hangs(hanging: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "MIRROR_TIMEOUT", 0.5)
    started = time.monotonic()
    with pytest.raises(StageError, match=r"mirror .* cannot be used") as caught:
        debian.check_mirror("trixie", hanging)
    assert time.monotonic() - started < 30
    assert "timed out" in caught.value.details
    assert "`mirror` under [run]" in caught.value.hint


def test_a_mirror_without_the_suite(empty: str) -> None:
    with pytest.raises(StageError, match="cannot be used") as caught:
        debian.check_mirror("trixi", empty)
    assert f"{empty}/dists/trixi/InRelease: HTTP Error 404" in caught.value.details


def test_the_plan_asks_the_mirror_for_a_suite(empty: str, tmp_path: Path) -> None:
    lab = Lab(options=Options(mirror=empty), paths=Paths(tmp_path / "cache", tmp_path / "state"))
    with pytest.raises(StageError, match=f"the Debian mirror {empty} cannot be used"):
        lab.plan()
    # A plan that builds nothing of it asks for nothing.
    assert [step.stage for step in lab.plan("tools")] == ["tools"]


def test_an_index_that_hangs(hanging: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"INDEX_URL": f"{hanging}/simple", "DEFAULT_TIMEOUT": "1", "RETRIES": "0"}
    for name, value in settings.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    source = SourceArchive("kollalab-test", "1", "ab" * 32, section="x")
    with pytest.raises(StageError, match="pip could not download kollalab-test 1") as caught:
        sources.download([source], Path(sys.executable), tmp_path, tmp_path / "log")
    assert "package index" in caught.value.hint


def test_a_checksum_that_does_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "index"
    index.mkdir()
    (tmp_path / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: kollalab-test\nVersion: 1\n")
    source = SourceArchive("kollalab-test", "1", "ab" * 32, section="x")
    with tarfile.open(index / source.filename, "w:gz") as tar:
        tar.add(tmp_path / "PKG-INFO", "kollalab_test-1/PKG-INFO")
    found = hashlib.sha256((index / source.filename).read_bytes()).hexdigest()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    with pytest.raises(
        StageError, match=r"a file of kollalab-test 1 is not the one that was pinned"
    ) as e:
        sources.download([source], Path(sys.executable), tmp_path / "had", tmp_path / "log")
    assert source.sha256 in e.value.details
    assert found in e.value.details
    assert not list((tmp_path / "had").glob("*.tar.gz"))
