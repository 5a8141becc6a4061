"""Agents kept quiet: those of other nodes, for the length of a block, and back afterwards."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.sdn.dataplane import OVS
from pytest_kollalab.sdn.ovs import agents
from pytest_kollalab.system.errors import WaitError

NODES = ("compute-1", "controller-1", "gateway-1")


class Cloud:
    """Neutron and the nodes: an agent that is killed comes back at the first look, or never."""

    def __init__(self, *, comes_back: bool = True) -> None:
        self.comes_back = comes_back
        self.killed: list[str] = []
        self.looked: list[str] = []

    def run(self, node: str, argv: list[str]) -> None:
        assert argv[:2] == ["docker", "exec"]
        assert argv[2:4] == ["neutron_openvswitch_agent", "pkill"]
        assert argv[-1] == "bin/neutron-openvswitch-agent"
        self.killed.append(node)

    def agents(self, *, binary: str) -> list[Any]:
        assert binary == "neutron-openvswitch-agent"
        return [SimpleNamespace(id=node, host=node, started_at="first") for node in NODES]

    def get_agent(self, node: str) -> Any:
        self.looked.append(node)
        again = self.comes_back and node in self.killed
        return SimpleNamespace(started_at="second" if again else "first")

    @property
    def tenant(self) -> Any:
        admin = SimpleNamespace(network=self)
        return cast("Any", SimpleNamespace(admin=admin, ssh=self, patience=0.001, dataplane=OVS))


def test_only_the_agents_of_other_nodes_are_killed_and_are_waited_for() -> None:
    cloud = Cloud()
    with agents.only(cloud.tenant, ["compute-1"]):
        assert cloud.killed == ["controller-1", "gateway-1"]
        assert cloud.looked == []
    assert cloud.looked == ["controller-1", "gateway-1"]


def test_they_are_waited_for_when_the_block_fails() -> None:
    cloud = Cloud()
    with pytest.raises(ZeroDivisionError), agents.only(cloud.tenant, NODES[:2]):
        raise ZeroDivisionError
    assert cloud.looked == ["gateway-1"]


def test_an_agent_that_stays_away_is_an_error() -> None:
    cloud = Cloud(comes_back=False)
    with (
        pytest.raises(WaitError, match=r"the agent of controller-1 to be started anew"),
        agents.only(cloud.tenant, ["compute-1", "gateway-1"]),
    ):
        pass
