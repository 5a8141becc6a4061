"""A project of its own that tests its service, the greeter, in a lab of pytest-kollalab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.features.base import Feature

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.sdn.tenant.tenant import Tenant

HERE = Path(__file__).parent
PORT = 8099

GREETER = Feature(
    name="greeter",
    # Its image, which nodes run it, what deploys it, and what must run before a test may begin.
    images_from=(HERE / "greeter" / "images",),
    control_images=("greeter",),
    globals={"greeter_port": PORT},
    playbooks=(HERE / "greeter" / "playbooks" / "greeter.yml",),
    containers={"control": ("greeter",)},
    # A test that uses this fixture needs no marker.
    fixtures=("greeter",),
)


def pytest_kollalab_features() -> Feature:
    """Tests here can ask for the greeter."""
    return GREETER


def pytest_kollalab_artifacts() -> Mapping[str, str]:
    """What to look at when a test fails."""
    return {"greeter.txt": "docker logs --tail 100 greeter"}


@pytest.fixture(scope="session")
def openstack_cloud(
    openstack_cloud: Connection, lab_nodes: Mapping[str, Node]
) -> Iterator[Connection]:
    """The plugin's cloud, with the greeter in its catalogue."""
    identity: Any = openstack_cloud.identity
    address = lab_nodes["controller-1"].addresses["management"]
    service = identity.create_service(name="greeter", type="greeting")
    endpoint = identity.create_endpoint(
        service_id=service.id, interface="public", url=f"http://{address}:{PORT}"
    )
    yield openstack_cloud
    identity.delete_endpoint(endpoint)
    identity.delete_service(service)


@pytest.fixture
def greeter(tenant: Tenant) -> str:
    """Where a tenant finds the greeter: its address in the catalogue."""
    return str(tenant.cloud.session.get_endpoint(service_type="greeting"))
