"""Skydive as a service: who may ask it, what it costs, and that it comes back."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.skydive.feature import FEATURE
from pytest_kollalab.report import artifacts
from pytest_kollalab.sdn.topology.picture import svg
from pytest_kollalab.sdn.topology.topology import differences
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.skydive.words import Skydive
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.sdn.topology.local import Local

# Of an analyzer and the agents of two nodes.
MEGABYTES = 400
BACK_WITHIN = 120.0


@pytest.mark.parametrize("path", ["api/topology", "api/status", "api/capture"])
def test_nobody_is_answered_without_the_password(skydive: Skydive, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{skydive.url}/{path}", timeout=10)
    with refused.value as answer:
        assert answer.code == 401


def test_it_listens_on_the_management_network_only(
    skydive: Skydive, local_view: Local, lab_nodes: Mapping[str, Node]
) -> None:
    # An earlier test may have restarted analyzer and agents.
    await_whole(skydive, local_view)
    for node in lab_nodes.values():
        listening = node.host.check_output("ss --no-header -ltnp")
        addresses = {
            line.split()[3].rpartition(":")[0]
            for line in listening.splitlines()
            if '"skydive"' in line
        }
        assert addresses
        assert addresses <= {node.addresses["management"], "127.0.0.1"}


def test_analyzer_and_agents_take_little_memory(lab_nodes: Mapping[str, Node]) -> None:
    used = 0
    for node in lab_nodes.values():
        for process in node.host.process.filter(comm="skydive"):
            used += int(process.rss)
    # A lab with a gateway has an agent more.
    assert 0 < used / 1024 < MEGABYTES * (1 + len(lab_nodes)) / 3


def test_a_failure_keeps_the_graph(
    skydive: Skydive, lab_nodes: Mapping[str, Node], kollalab: Lab
) -> None:
    span = artifacts.Span(time.time() - 1, time.time())
    node = "controller-1"
    kept = artifacts.ask_node(kollalab.ssh(), node, span, FEATURE.artifacts)
    (graph,) = json.loads(kept[f"{node}/others/skydive-graph.json"])
    hosts = {each["Host"] for each in graph["Nodes"]}
    assert hosts >= {"controller-1", "compute-1"}
    assert graph["Edges"]


@pytest.mark.kollalab_disruptive
def test_the_agent_of_a_node_comes_back(
    skydive: Skydive, local_view: Local, lab_nodes: Mapping[str, Node]
) -> None:
    node = lab_nodes["compute-1"]
    node.host.check_output("docker restart skydive_agent")
    await_whole(skydive, local_view)


@pytest.mark.kollalab_disruptive
def test_a_new_analyzer_learns_everything_again(
    skydive: Skydive, local_view: Local, lab_nodes: Mapping[str, Node]
) -> None:
    lab_nodes["controller-1"].host.check_output("docker restart skydive_analyzer")
    await_whole(skydive, local_view)


def test_the_picture_shows_every_port_of_either_collector(
    skydive: Skydive, local_view: Local
) -> None:
    for collector in (skydive, local_view):
        seen = collector.topology()
        drawn = svg(seen, title="lab")
        assert all(port.name in drawn for port in seen.ports)


def await_whole(skydive: Skydive, local_view: Local) -> None:
    """Wait until every agent is connected and the topology is that of the nodes."""

    def look() -> bool | NotYet:
        try:
            absent = {"controller-1", "compute-1"} - skydive.agents()
            if absent:
                return NotYet(f"no agent of {', '.join(sorted(absent))}")
            found = differences(skydive.topology(), local_view.topology())
        except KollalabError as error:
            return NotYet(error.brief)
        return not found or NotYet("\n".join(map(str, found)))

    wait.until("Skydive to know the lab again", look, timeout=BACK_WITHIN, interval=1)
