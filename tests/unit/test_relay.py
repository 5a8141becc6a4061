"""The relay: builds get packages from servers that want a login, and never have the login."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from pytest_kollalab.releases.pypi import Index
from pytest_kollalab.stages.images import relay, render
from pytest_kollalab.stages.images.relay import Relay
from pytest_kollalab.stages.images.stage import build_arguments
from pytest_kollalab.system.run import run
from tests import private_index


@pytest.fixture
def server() -> Iterator[private_index.Index]:
    with private_index.serving() as found:
        yield found


@pytest.fixture
def passing() -> Iterator[Relay]:
    found = Relay("127.0.0.1")
    yield found
    found.stop()


@pytest.mark.parametrize(
    "link", ["{root}/files/{wheel}", "/files/{wheel}", "../../../files/{wheel}", "files/{wheel}"]
)
def test_pip_gets_a_package_and_knows_no_login(
    link: str, server: private_index.Index, passing: Relay, tmp_path: Path
) -> None:
    server.link = link
    url = passing.through(f"http://{private_index.WRITTEN}@{server.host}/repo/simple")
    assert "s3cret" not in url
    argv = [sys.executable, "-m", "pip", "download", "--isolated", "--no-deps", "--quiet"]
    run([*argv, "--index-url", url, "--dest", tmp_path, "thing"], env={"PIP_NO_CACHE_DIR": "1"})
    assert (tmp_path / private_index.WHEEL).read_bytes() == server.wheel


def test_go_gets_a_module(server: private_index.Index, passing: Relay) -> None:
    told = passing.through(
        f"GOPROXY=http://{private_index.WRITTEN}@{server.host}/proxy;direct GOSUMDB=off"
    )
    assert told.endswith(";direct GOSUMDB=off")
    url = told.partition(";")[0].removeprefix("GOPROXY=")
    assert requests.get(f"{url}/example.org/m/@v/list", timeout=10).text == "v1.0.0\n"


def test_only_who_knows_its_url_may_ask_and_only_while_it_runs(
    server: private_index.Index, passing: Relay
) -> None:
    url = passing.through(f"http://{private_index.WRITTEN}@{server.host}/repo/simple")
    root, secret, rest = url.rpartition("/0/")[0].rpartition("/")[0], "x" * 32, "0/repo/simple"
    assert requests.get(f"{url}/thing/", timeout=10).status_code == 200
    assert requests.get(f"{root}/{secret}/{rest}/thing/", timeout=10).status_code == 404
    assert requests.get(f"{url.replace('/0/', '/1/')}/thing/", timeout=10).status_code == 404
    assert requests.get(root, timeout=10).status_code == 404
    assert len(server.seen) == 1
    passing.stop()
    with pytest.raises(requests.ConnectionError):
        requests.get(url, timeout=10)


def test_a_server_that_is_away_is_no_hang(passing: Relay) -> None:
    url = passing.through("http://me:secret@127.0.0.1:9/simple")
    assert requests.get(url, timeout=10).status_code == 502


def test_without_a_login_there_is_no_relay(passing: Relay) -> None:
    assert passing.through("https://index.test/simple off") == "https://index.test/simple off"
    assert passing.servers == []


def test_build_arguments_have_addresses_and_no_login(passing: Relay) -> None:
    index = Index(url="https://me:secret@one.test/a,b/$x", extra_urls=("https://two.test/",))
    go = {"GOPROXY": "https://tok3n@go.test,direct"}
    said = build_arguments(index, go, passing.through)
    rows = dict(row.split(":", 1) for row in said.split(","))
    assert "secret" not in said
    assert "tok3n" not in said
    assert rows["PIP_INDEX_URL"].startswith("http://127.0.0.1:")
    assert rows["PIP_INDEX_URL"].endswith("/a%2Cb/$$x")
    assert rows["UV_INDEX"] == "https://two.test/"
    assert rows["GO_SETTINGS"].endswith(";direct")
    assert build_arguments(Index(), {}, passing.through) == ""


def test_the_recipe_has_the_index_without_its_login() -> None:
    from pytest_kollalab.releases import releases

    release = releases.get("2026.1")

    def recipe(url: str, mirror: str = "http://m") -> dict[str, Any]:
        return render.recipe(release, render.Origins(mirror, Index(url=url)))

    assert recipe("https://me:old@i.test/simple") == recipe("https://me:new@i.test/simple")
    assert "old" not in json.dumps(recipe("https://me:old-token@i.test/simple"))
    assert recipe("https://i.test/simple") != recipe("https://other.test/simple")
    assert recipe("") != recipe("", "http://another")
    assert "index" not in recipe("")


class Daemon:
    """A docker daemon with a network `bridge`."""

    def __init__(self, gateway: str) -> None:
        self.api = self
        self.gateway = gateway

    def networks(self, names: list[str]) -> list[dict[str, Any]]:
        assert names == ["bridge"]
        return [{"IPAM": {"Config": [{"Subnet": "x", "Gateway": self.gateway}]}}]


@pytest.mark.parametrize(
    ("gateway", "own", "wanted"),
    [
        ("172.17.0.1", "172.17.0.1", "127.0.0.1"),
        ("172.17.0.1", "172.17.0.9", "172.17.0.9"),
        ("172.17.0.1", "", "127.0.0.1"),
        ("", "192.0.2.1", "127.0.0.1"),
    ],
)
def test_builds_of_a_daemon_outside_of_our_container_reach_it_too(
    gateway: str, own: str, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "_towards", lambda _: own)
    daemon: Any = Daemon(gateway)
    assert relay.address_for(daemon) == wanted
