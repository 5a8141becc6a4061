"""The nodes after a deploy: every container healthy, no failed unit, quiet logs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.report.window import Window
from pytest_kollalab.stages.cloud import health, logs
from pytest_kollalab.stages.cloud.logs import Allowance

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.plugin.fixtures import Node

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

OF_RELEASE: Mapping[str, tuple[Allowance, ...]] = {
    "2026.2": (
        Allowance(
            r"^nova/nova-(scheduler|conductor|compute)\.log$",
            r"RuntimeError: A dynamic interval looping call should supply",
            "a service of Nova 34 that stops skips its periodic tasks and names no time for the "
            "next ones (nova/manager.py, periodic_tasks); Kolla-Ansible restarts the scheduler",
        ),
    ),
}


@pytest.fixture
def node(
    request: pytest.FixtureRequest, openstack_cloud: Connection, lab_nodes: Mapping[str, Node]
) -> Node:
    """A node of the deployed cloud."""
    return lab_nodes[request.param]


every_node = pytest.mark.parametrize("node", NODES, indirect=True)


@pytest.mark.kollalab_smoke
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
def test_logs_of_the_deploy_are_quiet(node: Node, kollalab: Lab) -> None:
    # Only logs of the deploy are checked, because later scenarios provoke errors.
    cloud = kollalab.records()["cloud"]
    ready = datetime.fromisoformat(cloud.created).timestamp() + cloud.seconds
    features = {feature.name for feature in kollalab.features}
    allowed = [*ALWAYS, *OF_RELEASE.get(kollalab.config.release, ())]
    if "compute" not in features:
        allowed += WITHOUT_COMPUTE
    found = logs.troubles(node.ssh, node.name, allowed, Window(0.0, ready).cut)
    assert not found, logs.summary(found)
