"""Fixtures for the scenarios of VPNs: two networks on two nodes, and a second project."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.bgpvpn.words import Bgpvpn
from pytest_kollalab.sdn.tenant.tenant import Tenant
from scenarios.vpns import ends, ends_are_plugged, removed_first, vpn  # noqa: F401

if TYPE_CHECKING:
    from openstack.connection import Connection


@pytest.fixture(autouse=True)
def vpns_go_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove VPNs and sites of a test before its ports, which agents need to withdraw routes."""
    with removed_first(request, "bgpvpn", "other_bgpvpn"):
        yield


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
