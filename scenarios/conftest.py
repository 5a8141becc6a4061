"""What every scenario is held to: it leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_kollalab.sdn import traces


@pytest.fixture(scope="module", autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a module that has a tenant, the lab is what it was before.

    An existing cloud is not looked at: others may be at work in it.
    """
    items = (item for item in request.session.items if item.nodeid.startswith(request.node.nodeid))
    has_tenant = any("tenant" in getattr(item, "fixturenames", ()) for item in items)
    if not has_tenant or request.getfixturevalue("kollalab").options.cloud:
        yield
        return
    cloud = request.getfixturevalue("openstack_cloud")
    nodes = request.getfixturevalue("lab_nodes")
    ssh = next(iter(nodes.values())).ssh
    before = traces.take(cloud, ssh, nodes)
    yield
    traces.await_none_left(before, cloud, ssh, nodes)
