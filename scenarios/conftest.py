"""Checks for all scenarios: a test leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant import traces
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import NotYet
from scenarios.defects import DEFECTS, MARKER

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.tenant.tenant import Tenant

# An agent reports every 30 s.
ALIVE_WITHIN = 90

tenants_key = pytest.StashKey[dict[str, "Tenant"]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(id, raises=...): the test fails, with these exceptions (by default "
        "AssertionError and WaitError), on releases that have this defect of scenarios/defects.py",
    )


@pytest.fixture(autouse=True)
def known_defects_are_expected(request: pytest.FixtureRequest) -> None:
    """Expect that a test of a known defect fails on releases that have the defect."""
    for marker in request.node.iter_markers(MARKER):
        defect = DEFECTS.get(marker.args[0])
        if defect is None:
            pytest.fail(f"scenarios/defects.py has no defect {marker.args[0]!r}", pytrace=False)
        lab: Lab = request.getfixturevalue("kollalab")
        if defect.holds_for(lab.config.release):
            raises = marker.kwargs.get("raises", (AssertionError, WaitError))
            reason = defect.reason(lab.config.release)
            request.applymarker(pytest.mark.xfail(reason=reason, raises=raises, strict=True))


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
    nodes = request.getfixturevalue("lab_nodes")
    with traces.none_left(tenant, nodes):
        yield


@pytest.fixture(autouse=True)
def whole_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a disruptive test, wait until all agents are alive."""
    yield
    if request.node.get_closest_marker("kollalab_disruptive") is None:
        return
    if "openstack_cloud" in request.fixturenames:
        cloud: Connection = request.getfixturevalue("openstack_cloud")
        wait.until("every network agent is alive", lambda: all_alive(cloud), timeout=ALIVE_WITHIN)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_of_a_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check that nothing is left of the tenant of a module."""
    yield
    check_closed_tenants(request)


@pytest.fixture(autouse=True, scope="session")
def nothing_is_left_of_a_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """Check that nothing is left of the tenants of the session."""
    yield
    check_closed_tenants(request)


def all_alive(cloud: Connection) -> bool | NotYet:
    agents = cloud.network.agents()
    dead = [f"{agent.agent_type} of {agent.host}" for agent in agents if not agent.is_alive]
    return NotYet(f"dead: {', '.join(dead)}") if dead else True


def check_closed_tenants(request: pytest.FixtureRequest) -> None:
    seen = request.session.stash.get(tenants_key, {})
    for tenant in [tenant for tenant in seen.values() if tenant.is_closed]:
        del seen[tenant.name]
        if tenant.has_nodes:
            traces.await_same(traces.NOTHING, tenant, traces.NODES)
