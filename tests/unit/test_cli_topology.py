"""`kollalab topology`: all nodes are in the picture, whoever collects, with and without an API."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from openstack.exceptions import SDKException

from pytest_kollalab.cli import topology as verb
from pytest_kollalab.features.skydive.graph import SkydiveGraph
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.sdn.topology import names
from pytest_kollalab.sdn.topology.local import Local
from pytest_kollalab.sdn.topology.topology import Topology
from pytest_kollalab.stages.cloud import connect
from tests.recorded import lab as recorded
from tests.svg import measured

ALL = ("controller-1", "compute-1", "gateway-1")


class Lab:
    """A lab whose nodes are made, and whose cloud is."""

    name = "lab"

    def made(self, kind: type) -> Any:
        return SimpleNamespace(nodes=dict.fromkeys(ALL)) if kind is NodesMade else object()

    def ssh(self) -> None:
        return None


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nodes that are asked over SSH, of which only the gateway answers."""
    found: list[str] = []

    def ask(_: Local, node: str) -> str:
        found.append(node)
        return (recorded.HERE / f"{node}.txt").read_text(encoding="utf-8")

    monkeypatch.setattr(Local, "_ask", ask)
    return found


def by_skydive() -> Topology:
    text = (recorded.HERE / "skydive-graph.json").read_text(encoding="utf-8")
    return SkydiveGraph.parse(json.loads(text)).topology()


def draw(monkeypatch: pytest.MonkeyPatch, seen: Topology, source: str) -> str:
    monkeypatch.setattr(
        verb, "_collector", lambda *_: SimpleNamespace(topology=lambda: seen, name=source)
    )
    lab: Any = Lab()
    return measured(verb.draw(lab, source)).said


def test_nodes_that_skydive_does_not_see_are_asked_themselves(
    monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.setattr(verb, "_names", lambda _: (recorded.names(), ""))
    said = draw(monkeypatch, by_skydive(), "skydive").splitlines()
    assert asked == ["gateway-1"]
    assert {*ALL, "vnf-6cf7-archive-2", "sfc-b805-firewall"} <= set(said)
    assert "read from the nodes themselves, which skydive does not see: gateway-1" in said


def test_what_the_collector_sees_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.setattr(verb, "_names", lambda _: (recorded.names(), ""))
    said = draw(monkeypatch, recorded.topology(), "local").splitlines()
    assert not asked
    assert set(ALL) <= set(said)
    assert not [line for line in said if "does not see" in line]


def test_without_an_api_there_is_a_picture_that_says_so(
    monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    closed: list[bool] = []

    def fail(_: Any) -> None:
        raise SDKException("no answer\nfrom the API")

    made = SimpleNamespace(close=lambda: closed.append(True))
    monkeypatch.setattr(connect, "connect", lambda _: made)
    monkeypatch.setattr(names, "names_of", fail)
    said = draw(monkeypatch, recorded.topology(), "local").splitlines()
    assert "without the names that the API knows, which failed: no answer" in said
    assert closed == [True]
    assert {"sfc-b805-firewall", "tapaf5baf66-d3"} <= set(said)
