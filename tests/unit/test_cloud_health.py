"""The health gate and the images of nodes: what counts as trouble, pure parts."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.features import passwords
from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.registry import resolve
from pytest_kollalab.stages.cloud import clouds_yaml, health, making, pull
from pytest_kollalab.stages.cloud.health import (
    Container,
    alive_troubles,
    container_troubles,
    expected_agents,
    expected_containers,
    parse_ps,
    queue_troubles,
    with_passed,
)
from pytest_kollalab.system.errors import StageError
from tests import made

NODES = ("controller-1", "compute-1")


def test_parse_ps() -> None:
    text = "nova_api\trunning\tUp 2 minutes (healthy)\ncron\texited\tExited (1) 3 seconds ago\n"
    assert parse_ps(text) == [
        Container("nova_api", "running", "Up 2 minutes (healthy)"),
        Container("cron", "exited", "Exited (1) 3 seconds ago"),
    ]


@pytest.mark.parametrize(
    ("state", "status", "trouble"),
    [
        ("running", "Up 2 minutes", None),
        ("running", "Up 2 minutes (healthy)", None),
        ("running", "Up 2 minutes (unhealthy)", "c is unhealthy"),
        ("running", "Up 2 seconds (health: starting)", "c does not pass its health check yet"),
        ("restarting", "Restarting (1) 2 seconds ago", "c is restarting"),
    ],
)
def test_trouble_of_a_container(state: str, status: str, trouble: str | None) -> None:
    assert Container("c", state, status).trouble == trouble


def test_a_passed_check_counts_before_dockers_own() -> None:
    starting = "Up 2 seconds (health: starting)"
    found = [Container("a", "running", starting), Container("b", "running", starting)]
    assert [c.trouble for c in with_passed(found, ["a"])] == [
        None,
        "b does not pass its health check yet",
    ]


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://192.0.2.1:8004/v1/p-1", "http://192.0.2.1:8004/"),
        ("http://192.0.2.1:8004/v1/p-1/", "http://192.0.2.1:8004/"),
        ("http://192.0.2.1:8774/v2.1", "http://192.0.2.1:8774/v2.1"),
        ("http://192.0.2.1:9696", "http://192.0.2.1:9696"),
        ("http://192.0.2.1/p-1x", "http://192.0.2.1/p-1x"),
    ],
)
def test_an_endpoint_with_the_project_in_it_is_asked_at_its_root(url: str, asked: str) -> None:
    assert health.asked_at(url, "p-1") == asked
    assert health.asked_at(url, None) == url


class Asked:
    """A node's ssh: what `docker ps` says, and whose checks pass."""

    def __init__(self, *passed: str) -> None:
        self.passed = passed
        self.asked: list[str] = []

    def run(self, node: str, argv: Sequence[str]) -> SimpleNamespace:
        if argv == health.PS:
            rows = ("(unhealthy)", "(healthy)", "(health: starting)", "(unhealthy)")
            text = "".join(f"{n}\trunning\tUp {s}\n" for n, s in zip("abcd", rows, strict=True))
            return SimpleNamespace(stdout=text)
        self.asked += argv[argv.index("ask") + 1 :]
        return SimpleNamespace(stdout="\n".join(self.passed))


def test_what_docker_found_unhealthy_is_asked_again() -> None:
    ssh: Any = Asked("a", "c")
    found = health._look("n", ssh, ask=True)
    assert ssh.asked == ["a", "c", "d"]
    assert [each.trouble for each in found] == [None, None, None, "d is unhealthy"]


def test_nobody_is_asked_before_it_is_time() -> None:
    ssh: Any = Asked("a")
    assert len([each for each in health._look("n", ssh, ask=False) if each.trouble]) == 3
    assert ssh.asked == []


def test_missing_and_sick_containers() -> None:
    found = {"n": [Container("a", "running", "Up"), Container("x", "exited", "Exited")]}
    troubles = list(container_troubles(found, {"n": ["a", "b"]}))
    assert troubles == ["n: b is missing", "n: x is exited"]


def test_expected_containers_follow_features() -> None:
    sfc = expected_containers(resolve(["sfc"], "2026.1"), NODES)
    assert "neutron_server" in sfc["controller-1"]
    assert not [name for name in sfc["controller-1"] if name.startswith("nova")]
    compute = expected_containers(resolve(["compute"], "2026.1"), NODES)
    assert "nova_compute" in compute["compute-1"]
    assert "nova_compute" not in compute["controller-1"]


def test_agents_that_are_missing_or_down() -> None:
    wanted = expected_agents(resolve(["sfc"], "2026.1"), NODES)
    assert ("Open vSwitch agent", "compute-1") in wanted
    found = dict.fromkeys(wanted, True)
    assert list(alive_troubles(found, wanted)) == []
    found[("L3 agent", "controller-1")] = False
    del found[("Open vSwitch agent", "compute-1")]
    assert list(alive_troubles(found, wanted)) == [
        "compute-1: Open vSwitch agent is not registered",
        "controller-1: L3 agent is down",
    ]


def test_images_by_node() -> None:
    found = pull.images_by_node(resolve(["compute"], "2026.1"), NODES)
    assert "nova-compute" in found["compute-1"]
    assert "nova-compute" not in found["controller-1"]
    assert "mariadb-server" not in found["compute-1"]
    assert found["controller-1"][0] == "kolla-toolbox"


def test_a_node_of_a_feature_fetches_what_the_feature_says() -> None:
    nodes = (*NODES, "gateway-1")
    found = pull.images_by_node(resolve(["bgpvpn"], "2026.1"), nodes)
    assert found["gateway-1"] == ["openvswitch-db-server", "openvswitch-vswitchd", "bagpipe-bgp"]
    assert "frr" in found["controller-1"]
    assert "frr" not in found["compute-1"]
    assert expected_containers(resolve(["bgpvpn"], "2026.1"), nodes)["gateway-1"] == [
        "bagpipe_bgp",
        "openvswitch_db",
        "openvswitch_vswitchd",
    ]


def test_features_need_their_images() -> None:
    features = resolve(["compute"], "2026.1")
    built = [name for feature in features for name in feature.images]
    pull.check_built(features, built)
    with pytest.raises(StageError, match="compute needs images that were not built") as error:
        pull.check_built(features, [name for name in built if name != "nova-api"])
    assert error.value.details == "nova-api"


def test_clouds_yaml() -> None:
    document = clouds_yaml.document("kollalab-x", clouds_yaml.auth_url("10.9.1.11"), "secret")
    auth = document["clouds"]["kollalab-x"]["auth"]
    assert auth["auth_url"] == "http://10.9.1.11:5000"
    assert auth["project_name"] == "admin"


def test_secrets_are_all_texts_of_some_length() -> None:
    found = passwords.secrets(
        {
            "a": "0123456789",
            "key": {"private": "-----BEGIN KEY-----\nabcdefghij\n-----END KEY-----\n"},
            "short": "abc",
            "none": None,
        }
    )
    assert found == ("0123456789", "abcdefghij")


def test_a_queue_that_nobody_reads() -> None:
    text = "name\tconsumers\nscheduler\t0\nconductor\t1\nscheduler_fanout\t2\n"
    assert list(queue_troubles(text, ["scheduler", "conductor", "compute"])) == [
        "no service takes requests for compute",
        "no service takes requests for scheduler",
    ]


def test_what_is_waited_for_is_told_each_time_it_changes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = iter([["nova is down", "glance is down"], ["nova is down"], ["glance is down"], []])
    monkeypatch.setattr(health, "_api", lambda *_: next(seen))
    for name in ("_containers", "_queues"):
        monkeypatch.setattr(health, name, lambda *_, **__: iter(()))
    monkeypatch.setattr(health, "check_troubles", lambda *_: [])
    monkeypatch.setattr(health, "INTERVAL", 0.0)
    told: list[str] = []
    nothing: Any = None
    log = tmp_path / "log"
    health.wait_until_healthy([], {}, nothing, nothing, slowness=1.0, log=log, waiting=told.append)
    waiting = "waiting until all is healthy: "
    assert told == [f"{waiting}nova is down", f"{waiting}nova is down", f"{waiting}glance is down"]


def test_the_line_of_a_cloud_that_is_waited_for_names_no_task(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    steps: list[str] = ["Creating admin openrc file"]
    monkeypatch.setattr(making, "connect", lambda _: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(
        health, "wait_until_healthy", lambda *_, waiting, **__: waiting("nova is down")
    )
    cloud: Any = SimpleNamespace(features=(), provider=SimpleNamespace(slowness=1.0))
    work: Any = SimpleNamespace(say=lambda _: None, step=steps.append, log=tmp_path / "log")
    nodes: Any = SimpleNamespace(nodes={})
    nothing: Any = None
    making.Making(cloud)._wait(work, nothing, nothing, nodes)
    assert steps[1:] == ["waiting until all is healthy", "nova is down"]


def test_which_images_each_node_pulls() -> None:
    features = [
        Feature("core", control_images=("mariadb",), compute_images=("cron",)),
        Feature("own", compute_images=("agent",)),
    ]
    images = made.images(tag="ours")
    found = pull.wanted(features, ["controller-1", "compute-1"], images, {"agent": "theirs"})
    assert found.tag == "ours"
    assert found.by_node == {
        "controller-1": ["kolla/mariadb:ours"],
        "compute-1": ["kolla/cron:ours", "kolla/agent:theirs"],
    }
