"""What every scenario is held to: it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_kollalab.sdn import traces


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a module that has a tenant, the lab is what it was before."""
    items = (item for item in request.session.items if item.nodeid.startswith(request.node.nodeid))
    if not any("tenant" in getattr(item, "fixturenames", ()) for item in items):
        yield
        return
    cloud = request.getfixturevalue("openstack_cloud")
    nodes = request.getfixturevalue("lab_nodes")
    ssh = next(iter(nodes.values())).ssh
    before = traces.take(cloud, ssh, nodes)
    yield
    traces.await_none_left(before, cloud, ssh, nodes)
