"""The control plane: agents and services are alive, endpoints answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.providers.base import NODES
from pytest_kollalab.stages.cloud.health import asked_at, expected_agents

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.lab.lab import Lab

SERVICES = {
    ("nova-conductor", "controller-1"),
    ("nova-scheduler", "controller-1"),
    ("nova-compute", "compute-1"),
}


@pytest.mark.kollalab_smoke
def test_every_network_agent_is_alive(openstack_cloud: Connection, kollalab: Lab) -> None:
    agents = list(openstack_cloud.network.agents())
    assert {(agent.agent_type, agent.host) for agent in agents} == expected_agents(
        kollalab.features, NODES
    )
    assert not [agent for agent in agents if not (agent.is_alive and agent.is_admin_state_up)]


@pytest.mark.kollalab_feature("compute")
def test_every_compute_service_is_up(openstack_cloud: Connection) -> None:
    services = list(openstack_cloud.compute.services())
    assert {(service.binary, service.host) for service in services} == SERVICES
    assert not [s for s in services if s.state != "up" or s.status != "enabled"]


@pytest.mark.kollalab_feature("compute")
def test_the_hypervisor_is_known(openstack_cloud: Connection) -> None:
    (hypervisor,) = openstack_cloud.compute.hypervisors(details=True)
    assert (hypervisor.name, hypervisor.state) == ("compute-1", "up")


def test_every_endpoint_answers(openstack_cloud: Connection, kollalab: Lab) -> None:
    project = openstack_cloud.current_project_id
    # Heat's API of CloudFormation answers 400 to a request that names no action, and is in no list.
    wanted = {service for feature in kollalab.features for service in feature.services}
    urls = {
        asked_at(endpoint["url"], project)
        for service in openstack_cloud.service_catalog
        for endpoint in service["endpoints"]
        if service["type"] in wanted
    }
    assert urls
    answers = {url: openstack_cloud.session.get(url, raise_exc=False) for url in sorted(urls)}
    assert not [f"{url}: {a.status_code}" for url, a in answers.items() if a.status_code >= 400]


@pytest.mark.kollalab_feature("sfc")
def test_the_network_api_knows_chains(openstack_cloud: Connection) -> None:
    loaded = {extension.alias for extension in openstack_cloud.network.extensions()}
    assert {"sfc", "flow_classifier"} <= loaded
