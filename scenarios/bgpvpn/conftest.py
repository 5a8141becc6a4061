"""Fixtures for the scenarios of VPNs: two networks on two nodes, and a second project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.bgpvpn.vpn import Vpn
from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
from pytest_kollalab.sdn.tenant.tenant import Tenant

if TYPE_CHECKING:
    from openstack.connection import Connection


@pytest.fixture(autouse=True)
def vpns_go_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove VPNs and sites of a test before its ports, which agents need to withdraw routes."""
    with ExitStack() as parts:
        for name in ("bgpvpn", "other_bgpvpn"):
            if name in request.fixturenames:
                parts.enter_context(request.getfixturevalue(name).part())
        yield


@pytest.fixture(autouse=True)
def ends_are_plugged(request: pytest.FixtureRequest) -> None:
    """Replug the ends if a test in another worker has restarted their Open vSwitch."""
    if hasattr(request.config, "workerinput") and "ends" in request.fixturenames:
        ends: Ends = request.getfixturevalue("ends")
        request.getfixturevalue("bgpvpn").tenant.mend(ends.near, ends.far)


@pytest.fixture(scope="module")
def ends(bgpvpn: Bgpvpn) -> Ends:
    return bgpvpn.ends()


@pytest.fixture(scope="module")
def vpn(bgpvpn: Bgpvpn, ends: Ends) -> Vpn:
    """One VPN with both networks."""
    vpn = bgpvpn.l3()
    vpn.join(ends.left)
    vpn.join(ends.right)
    vpn.wait_converged()
    return vpn


@pytest.fixture(scope="module")
def other_tenant(openstack_cloud: Connection, tenant: Tenant) -> Iterator[Tenant]:
    """A second project beside the module's own."""
    with Tenant(openstack_cloud, "other", tenant.ssh, patience=tenant.patience) as other:
        yield other


@pytest.fixture(scope="module")
def other_bgpvpn(bgpvpn: Bgpvpn, other_tenant: Tenant) -> Iterator[Bgpvpn]:
    addresses = {node: speaker.address for node, speaker in bgpvpn.speakers.items()}
    with Bgpvpn(other_tenant, addresses) as other:
        yield other
