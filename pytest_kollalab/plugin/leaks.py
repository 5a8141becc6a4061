"""Opt-in: a check after each test that nothing is left of what it made, in the cloud and on nodes.

A project that wants this has `pytest_plugins = ["pytest_kollalab.plugin.leaks"]` in its uppermost
`conftest.py`, or `-p pytest_kollalab.plugin.leaks` among its options. What a test makes in its
tenant then goes with the test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant

tenants_key = pytest.StashKey[dict[str, "Tenant"]]()


@pytest.fixture(autouse=True)
def nothing_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove what a test made, and check that the tenant has what it had before.

    There is no check in an external cloud, whose nodes are not accessible.
    """
    if "tenant" not in request.fixturenames:
        yield
        return
    tenant: Tenant = request.getfixturevalue("tenant")
    request.session.stash.setdefault(tenants_key, {})[tenant.name] = tenant
    if not tenant.has_nodes:
        with tenant.part():
            yield
        return
    from pytest_kollalab.sdn.tenant import traces

    nodes = request.getfixturevalue("lab_nodes")
    with traces.none_left(tenant, nodes):
        yield


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_of_a_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check that nothing is left of the tenant of a module."""
    yield
    _check_closed(request)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_left_of_a_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check that nothing is left of the tenants of the session."""
    yield
    _check_closed(request)


def _check_closed(request: pytest.FixtureRequest) -> None:
    seen = request.session.stash.get(tenants_key, {})
    for tenant in [tenant for tenant in seen.values() if tenant.is_closed]:
        del seen[tenant.name]
        if tenant.has_nodes:
            from pytest_kollalab.sdn.tenant import traces

            traces.await_same(traces.NOTHING, tenant, traces.NODES)
