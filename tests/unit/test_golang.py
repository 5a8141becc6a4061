"""Go's module proxy: what the host tells Go, and what a proxy says of a module."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_kollalab.features.skydive import feature
from pytest_kollalab.features.skydive.settings import SkydiveConfig
from pytest_kollalab.releases import golang
from pytest_kollalab.settings.config import Config

MODULE, VERSION = "example.org/Some/module", "v1.2.3"


class Proxy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        has_it = self.path == "/go/example.org/!some/module/@v/v1.2.3.info"
        allowed = self.headers.get("Authorization") in (None, "Basic dTpw")
        self.send_response(200 if has_it and allowed else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Proxy)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/go"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in golang.VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GOENV", str(tmp_path / "env"))
    return tmp_path / "env"


def test_the_environment_wins_over_go_s_file(
    nothing_is_told: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert golang.settings() == {}
    nothing_is_told.write_text("# ours\nGOPROXY=http://a\nGOPRIVATE=b.c\nGOFLAGS=-x\n")
    monkeypatch.setenv("GOPROXY", "http://d,direct")
    assert golang.settings() == {"GOPROXY": "http://d,direct", "GOPRIVATE": "b.c"}


def test_settings_are_one_word_list_without_commas() -> None:
    told = {"GOPROXY": "http://a,direct", "GOSUMDB": "off"}
    assert golang.argument(told) == "GOPROXY=http://a;direct GOSUMDB=off"


def test_entries_of_the_proxy_are_told_apart() -> None:
    assert golang.proxies({"GOPROXY": "http://a, http://b|direct"}) == [
        "http://a",
        "http://b",
        "direct",
    ]


def test_capitals_are_escaped() -> None:
    assert golang.path(MODULE, VERSION) == "example.org/!some/module/@v/v1.2.3.info"


def test_a_proxy_that_has_the_module_is_no_obstacle(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", f"http://127.0.0.1:1/,{proxy}")
    assert golang.unsupported_reason(MODULE, VERSION) is None
    monkeypatch.setenv("GOPROXY", proxy.replace("//", "//u:p@"))
    assert golang.unsupported_reason(MODULE, VERSION) is None


def test_a_proxy_without_the_module_is_one(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", proxy.replace("//", "//user:secret@"))
    why = golang.unsupported_reason(MODULE, "v9")
    assert why == f"the Go module proxy 127.0.0.1 does not have {MODULE} v9 (404)"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("http://127.0.0.1:1,direct", "does not answer"),
        ("file:///srv/go", "a folder of this host"),
        ("off", "Go may fetch nothing"),
    ],
)
def test_what_stands_in_the_way_is_said(
    value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", value)
    assert why in (golang.unsupported_reason(MODULE, VERSION) or "")


def test_where_only_go_knows_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "direct")
    assert golang.unsupported_reason(MODULE, VERSION) is None


def test_the_feature_names_the_alternative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    assert feature.unsupported_reason(Config()) == (
        "GOPROXY=off: Go may fetch nothing on this host; name a binary for it: `binary` and "
        "`sha256` under [skydive] in kollalab.toml"
    )


def test_a_binary_is_no_obstacle_if_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    binary = tmp_path / "skydive"
    config = Config(tables={"skydive": SkydiveConfig(str(binary), "0" * 64)})
    assert feature.unsupported_reason(config) == f"there is no file {binary}"
    binary.write_bytes(b"")
    assert feature.unsupported_reason(config) is None
    (given,) = feature.given(config)
    assert (given.source, given.sha256) == (str(binary), "0" * 64)


def test_the_module_is_pinned_and_has_its_checksum() -> None:
    sums = (feature.HERE / "images" / feature.SOURCE / "go.sum").read_text()
    assert f"{feature.MODULE} {feature.version()} h1:" in sums
    assert f"{feature.MODULE}/graffiti {feature.version()} h1:" in sums
