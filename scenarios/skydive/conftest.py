"""What the scenarios of Skydive share: the nodes that have an agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.providers.base import NODES
from pytest_kollalab.sdn.topology.local import Local

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.plugin.fixtures import Node


@pytest.fixture(scope="session")
def lab_nodes(lab_nodes: Mapping[str, Node]) -> dict[str, Node]:
    """The nodes of the cloud; what a feature has beside them, such as a gateway, has no agent."""
    return {name: lab_nodes[name] for name in NODES}


@pytest.fixture(scope="session")
def tunnel_bridge(kollalab: Lab) -> str:
    """The bridge with the tunnels between nodes."""
    return kollalab.backend.dataplane.tunnel_bridge or "br-int"


@pytest.fixture(scope="session")
def local_view(openstack_cloud: Connection, lab_nodes: Mapping[str, Node]) -> Local:
    """The topology as those nodes tell it themselves."""
    return Local(next(iter(lab_nodes.values())).ssh, lab_nodes)
