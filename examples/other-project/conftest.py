"""A project of its own that tests its service, the greeter, in a lab of pytest-kollalab."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from greeter.settings import GreeterSettings

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.plugin.fixtures import Node

# The feature and its fixture; all else of it is in its folder.
pytest_plugins = ["greeter.feature", "greeter.fixtures"]


@pytest.fixture(scope="session")
def openstack_cloud(
    openstack_cloud: Connection, kollalab: Lab, lab_nodes: Mapping[str, Node]
) -> Iterator[Connection]:
    """The plugin's cloud, with the greeter in its catalogue."""
    identity: Any = openstack_cloud.identity
    address = lab_nodes["controller-1"].addresses["management"]
    port = kollalab.config.table("greeter", GreeterSettings).port
    service = identity.create_service(name="greeter", type="greeting")
    endpoint = identity.create_endpoint(
        service_id=service.id, interface="public", url=f"http://{address}:{port}"
    )
    yield openstack_cloud
    identity.delete_endpoint(endpoint)
    identity.delete_service(service)
