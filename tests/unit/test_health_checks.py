"""Health checks of features: a command on nodes, an address; what is seen when one fails."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from keystoneauth1.session import Session

from pytest_kollalab.extensions.extensions import Extension, Extensions
from pytest_kollalab.features.base import Feature, FeatureParts, HealthCheck
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers.base import NETWORKS, NodeMade
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.settings.declare import setting
from pytest_kollalab.stages.cloud import health
from pytest_kollalab.stages.cloud.health import check_troubles
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import Paths

HERE = NodeMade(**dict.fromkeys(NETWORKS, "127.0.0.1"))
NODES = {"controller-1": HERE, "compute-1": HERE, "edge-1": HERE}


class Greeter(BaseHTTPRequestHandler):
    """Answers with the status that the path names."""

    tokens: list[str | None]

    def do_GET(self) -> None:
        self.tokens.append(self.headers.get("X-Auth-Token"))
        self.send_response(int(self.path.strip("/")))
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    Greeter.tokens = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Greeter) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


class HereSsh:
    """Runs on this host what a node is asked to run."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def run(self, node: str, argv: Sequence[str], **_: object) -> Any:
        self.asked.append(node)
        return subprocess.run(argv, capture_output=True, text=True, check=False)


class Cloud:
    """A connection, as far as addresses are asked over it: with the administrator's token."""

    def __init__(self) -> None:
        class Auth:
            def get_headers(self, session: Session) -> dict[str, str]:
                return {"X-Auth-Token": "secret"}

            def get_connection_params(self, session: Session) -> dict[str, str]:
                return {}

        self.session = Session(auth=cast("Any", Auth()))


def troubles(*checks: HealthCheck, ssh: HereSsh | None = None) -> list[str]:
    given: Any = (ssh or HereSsh(), Cloud())
    return check_troubles([Feature("greeter", health=checks)], NODES, *given)


def test_an_address_is_asked_without_the_administrators_token(port: int) -> None:
    assert troubles(HealthCheck("it greets", url=f"http://{{management}}:{port}/204")) == []
    assert Greeter.tokens == [None]


def test_what_an_address_answers_is_told(port: int) -> None:
    url = f"http://{{tunnel}}:{port}/503"
    assert troubles(HealthCheck("it greets", group="edge", url=url)) == [
        f"edge-1: not yet: it greets (http://127.0.0.1:{port}/503 answers 503)"
    ]


def test_an_address_that_nobody_listens_at_is_told() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Greeter) as server:
        free = server.server_address[1]
    (trouble,) = troubles(HealthCheck("it greets", url=f"http://{{management}}:{free}/"))
    said = f"Unable to establish connection to http://127.0.0.1:{free}/"
    assert trouble == f"controller-1: not yet: it greets ({said})"


def test_a_command_has_to_succeed_on_each_node_of_its_group() -> None:
    ssh = HereSsh()
    assert troubles(HealthCheck("it is there", command="test -d /", group="compute"), ssh=ssh) == []
    assert ssh.asked == ["compute-1"]
    assert troubles(
        HealthCheck("it is there", command="echo loading; false"),
        HealthCheck("it says", command="echo broken >&2; exit 3"),
        HealthCheck("it is quiet", command="exit 4"),
    ) == [
        "controller-1: not yet: it is there (exit code 1: loading)",
        "controller-1: not yet: it says (exit code 3: broken)",
        "controller-1: not yet: it is quiet (exit code 4)",
    ]


def test_a_group_that_the_lab_does_not_have_is_an_error() -> None:
    with pytest.raises(ConfigError, match="'it is there' on the node group 'contrl'") as error:
        troubles(HealthCheck("it is there", command="true", group="contrl"))
    assert "'control'" in error.value.hint


@pytest.mark.parametrize(
    "given",
    [
        {"health": (HealthCheck("it is there", command="true", group="gateway"),)},
        {"containers": {"gateway": ("speaker",)}},
        {"agents": {"gateway": ("Open vSwitch agent",)}},
    ],
)
def test_a_plan_says_that_a_node_group_is_unknown(
    given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    added = Extension("ours", features=(Feature("greeter", **given),))
    lab = Lab(
        Config(),
        Options(),
        features=["greeter"],
        paths=Paths(tmp_path / "cache", tmp_path / "state"),
        extensions=Extensions((added,)),
    )
    with pytest.raises(ConfigError, match=r"feature greeter has .* on the node group 'gateway'"):
        lab.plan()
    health.check_groups([Feature("greeter", **given)], ("controller-1", "gateway-1"))


def test_a_url_with_the_address_in_an_unknown_network_is_an_error() -> None:
    check = HealthCheck("it greets", url="http://{mgmt}:80/")
    with pytest.raises(ConfigError, match="an address in the network 'mgmt'") as error:
        Feature("greeter", health=(check,)).configured(Config())
    assert "management" in error.value.hint


@pytest.mark.parametrize("given", [{}, {"command": "true", "url": "http://x/"}])
def test_a_check_is_one_thing(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="'it is there' needs a command or a URL"):
        HealthCheck("it is there", **given)


@dataclass(frozen=True)
class GreeterSettings:
    """What the greeter says."""

    port: int = setting(8099, "port that it listens at")


def test_settings_of_the_feature_are_put_in() -> None:
    checks = (
        HealthCheck("it greets", url="http://{management}:{settings.port}/"),
        HealthCheck("it listens", command="ss -ltn sport = {settings.port} | awk '{print $1}'"),
    )
    feature = Feature("greeter", settings=GreeterSettings, health=checks)
    url, command = feature.configured(Config(tables={"greeter": {"port": 81}})).health
    assert url.url_of({"management": "192.0.2.1"}) == "http://192.0.2.1:81/"
    assert command.command == "ss -ltn sport = 81 | awk '{print $1}'"
    assert feature.configured(Config()).health[0].url == "http://{management}:8099/"


def test_a_setting_that_is_not_declared_is_an_error() -> None:
    check = HealthCheck("it greets", url="http://{management}:{settings.prt}/")
    for kind in (GreeterSettings, None):
        feature = Feature("greeter", settings=kind, health=(check,))
        with pytest.raises(ConfigError, match="'it greets' needs a setting 'prt'"):
            feature.configured(Config())


def test_checks_may_differ_by_release() -> None:
    old, new = (HealthCheck("it greets", command=each) for each in ("old", "new"))
    parts = FeatureParts(health=(new,))
    feature = Feature("greeter", health=(old,), by_release={"2026.2": parts})
    assert feature.for_release("2026.1").health == (old,)
    assert feature.for_release("2026.2").health == (new,)
