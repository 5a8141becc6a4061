"""The nodes after a deploy: every container healthy, no failed unit, quiet logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.cloud import health, logs
from pytest_kollalab.cloud.logs import Allowance

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.fixtures import Node
    from pytest_kollalab.lab import Lab

NODES = ("controller-1", "compute-1")

ALWAYS = (
    Allowance(
        r"^neutron/neutron-(dhcp|l3|openvswitch|metadata)-agent\.log$",
        r"MessagingTimeout: Timed out waiting for a reply",
        "agents are started before Neutron's RPC workers listen, which takes minutes on a busy "
        "host; an agent asks again, and test_agents.py shows that it is alive",
    ),
)
WITHOUT_COMPUTE = (
    Allowance(
        r"^neutron/neutron-server",
        r"placement\.PlacementClientError: .*Unauthorized",
        "Neutron tells Placement of every segment that is deleted, and has no option not to; a lab "
        "without compute has no Placement, and no user of that name",
    ),
)
WITH_BGPVPN = (
    Allowance(
        r"^bagpipe-bgp/",
        r"rate_limit_except_level += CRITICAL",
        "the daemon prints its options when it starts, and this is the value of one",
    ),
    Allowance(
        r"^neutron/neutron-openvswitch-agent\.log$",
        r"AttributeError: 'NoneType' object has no attribute 'id'",
        "each agent is told of each port that joins a VPN, and fails on those of other nodes "
        "(networking_bagpipe/agent/bgpvpn/agent_extension.py, handle_notification_port_assocs)",
    ),
    Allowance(
        r"^neutron/neutron-openvswitch-agent\.log$",
        r"BaGPipeBGPException: An exception occurred when calling bagpipe-bgp",
        "the agent tells the speaker of what that has forgotten, or while it is down",
    ),
)


@pytest.fixture
def node(
    request: pytest.FixtureRequest, openstack_cloud: Connection, lab_nodes: Mapping[str, Node]
) -> Node:
    """A node of the deployed cloud."""
    return lab_nodes[request.param]


every_node = pytest.mark.parametrize("node", NODES, indirect=True)


@pytest.mark.smoke
@every_node
def test_every_container_is_running_and_healthy(
    node: Node, kollalab: Lab, lab_nodes: Mapping[str, Node]
) -> None:
    found = health.await_first_checks(node.name, node.ssh, slowness=kollalab.provider.slowness)
    wanted = health.expected_containers(kollalab.features, tuple(lab_nodes))[node.name]
    assert {container.name for container in found} >= set(wanted)
    assert not [container.trouble for container in found if container.trouble]


@every_node
def test_no_container_was_restarted_by_docker(node: Node) -> None:
    names = node.host.check_output("docker ps --all --quiet").split()
    counts = node.host.check_output(
        f"docker inspect --format '{{{{.Name}}}} {{{{.RestartCount}}}}' {' '.join(names)}"
    )
    assert not [line for line in counts.splitlines() if not line.endswith(" 0")]


@every_node
def test_no_unit_has_failed(node: Node) -> None:
    failed = node.host.check_output("systemctl list-units --state=failed --no-legend --plain")
    assert failed == ""


@every_node
def test_logs_are_quiet(node: Node, kollalab: Lab) -> None:
    features = {feature.name for feature in kollalab.features}
    allowed: tuple[Allowance, ...] = (
        ALWAYS if "compute" in features else (*ALWAYS, *WITHOUT_COMPUTE)
    )
    allowed += WITH_BGPVPN if "bgpvpn" in features else ()
    found = logs.troubles(node.ssh, node.name, allowed)
    assert not found, logs.summary(found)
