"""Checks for all scenarios: a test leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

# Fixtures that are used for all tests here. A project with these in its own uppermost conftest.py
# writes pytest_plugins = ["pytest_kollalab.plugin.leaks"].
from pytest_kollalab.plugin.leaks import (  # noqa: F401
    nothing_is_left,
    nothing_is_left_of_a_module,
    nothing_is_left_of_a_session,
)
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import NotYet
from scenarios.defects import DEFECTS, MARKER

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.lab.lab import Lab

# An agent reports every 30 s.
ALIVE_WITHIN = 90


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
def whole_again(request: pytest.FixtureRequest) -> Iterator[None]:
    """After a disruptive test, wait until all agents are alive."""
    yield
    if request.node.get_closest_marker("kollalab_disruptive") is None:
        return
    if "openstack_cloud" in request.fixturenames:
        cloud: Connection = request.getfixturevalue("openstack_cloud")
        wait.until("every network agent is alive", lambda: all_alive(cloud), timeout=ALIVE_WITHIN)


def all_alive(cloud: Connection) -> bool | NotYet:
    agents = cloud.network.agents()
    dead = [f"{agent.agent_type} of {agent.host}" for agent in agents if not agent.is_alive]
    return NotYet(f"dead: {', '.join(dead)}") if dead else True
