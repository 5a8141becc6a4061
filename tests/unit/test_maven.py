"""Maven's mirror: what the settings of the host say, and what the build is told of it."""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_kollalab.features.opendaylight.feature import HERE
from pytest_kollalab.releases import maven
from pytest_kollalab.releases.pypi import Index
from pytest_kollalab.stages.images.stage import build_arguments

SOURCE = HERE / "images" / "opendaylight" / "source"
SETTINGS = """
<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0">
  <mirrors>
    <mirror><id>blocker</id><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url>
      <blocked>true</blocked></mirror>
    <mirror><id>other</id><mirrorOf>*,!central</mirrorOf><url>http://other.test/</url></mirror>
    <mirror><id>house</id><mirrorOf>{of}</mirrorOf><url>https://house.test/maven</url></mirror>
  </mirrors>
  <servers>
    <server><id>house</id><username>me@house</username><password>{password}</password></server>
  </servers>
</settings>
"""


@pytest.mark.parametrize("of", ["*", "central", "external:*", "other, central"])
def test_the_mirror_of_central_is_found_with_its_login(of: str) -> None:
    text = SETTINGS.format(of=of, password="s/cret")
    assert maven.parse(text, {}) == "https://me%40house:s%2Fcret@house.test/maven"


@pytest.mark.parametrize("of", ["*,!central", "nexus", ""])
def test_a_mirror_of_something_else_is_none(of: str) -> None:
    assert maven.parse(SETTINGS.format(of=of, password="x"), {}) == ""


def test_a_password_may_be_in_the_environment_and_not_encrypted() -> None:
    text = SETTINGS.format(of="*", password="${env.SECRET}")
    assert maven.parse(text, {"SECRET": "x"}) == "https://me%40house:x@house.test/maven"
    sealed = SETTINGS.format(of="*", password="{abc=}")
    assert maven.parse(sealed, {}) == "https://house.test/maven"


@pytest.mark.parametrize("text", ["", "<settings>", "<settings/>"])
def test_settings_without_a_mirror(text: str) -> None:
    assert maven.parse(text, {}) == ""


def test_the_user_s_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert maven.mirror() == ""
    (tmp_path / ".m2").mkdir()
    (tmp_path / ".m2" / "settings.xml").write_text(SETTINGS.format(of="*", password="p"))
    assert maven.mirror().endswith("@house.test/maven")


def test_builds_are_given_the_mirror_through_the_relay() -> None:
    def relayed(text: str) -> str:
        return text.replace("me:p@", "")

    assert build_arguments(Index(), {}, relayed, "https://me:p@house.test/maven") == (
        "MAVEN_MIRROR:https://house.test/maven"
    )


class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Basic bWU6cA=="
        self.send_response(200 if allowed and self.path == "/maven/a/b.pom" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def house() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_mirror_is_asked_before_a_build(house: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def told(url: str, artifact: str = "a/b.pom") -> str:
        monkeypatch.setattr(maven, "mirror", lambda: url)
        return maven.unsupported_reason(artifact) or ""

    assert told("") == told(f"http://me:p@{house}/maven/") == ""
    assert told(f"http://me:p@{house}/maven", "a/c.pom") == (
        "the mirror of Maven Central 127.0.0.1 does not have c.pom (404)"
    )
    assert "p@" not in told(f"http://me:p@{house}/elsewhere")
    assert "Connection refused" in told("http://127.0.0.1:9/maven")
    assert "is a folder of this host" in told("file:///srv/maven")


def settings(**environment: str) -> ElementTree.Element:
    path = {"PATH": "/usr/bin:/bin"}
    argv = ["sh", "settings"]
    done = subprocess.run(
        argv, cwd=SOURCE, env=path | environment, check=True, capture_output=True, text=True
    )
    return ElementTree.fromstring(done.stdout)


def test_a_build_without_a_mirror_has_maven_s_defaults() -> None:
    assert list(settings()) == []


def test_a_build_asks_the_mirror_for_everything() -> None:
    found = settings(MAVEN_MIRROR="http://relay.test/a?b&c")
    assert found.findtext("mirrors/mirror/mirrorOf") == "*"
    assert found.findtext("mirrors/mirror/url") == "http://relay.test/a?b&c"


def test_a_build_uses_the_proxy_of_the_environment() -> None:
    found = settings(https_proxy="http://me:se<cret@proxy.test:3128/")
    told = {each.tag: each.text for each in found.iterfind("proxies/proxy/*")}
    assert told.pop("id")
    assert told == {
        "protocol": "https",
        "host": "proxy.test",
        "port": "3128",
        "username": "me",
        "password": "se<cret",
    }
