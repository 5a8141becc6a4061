"""Projects whose networks have the same addresses stay apart, in their VPNs as well."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant

FIRST, SECOND = "10.150.1.0/24", "10.150.2.0/24"


@dataclass(frozen=True)
class Project:
    """Two networks in one VPN, a probe in each."""

    vpn: Vpn
    source: Probe
    target: Probe


def project(tenant: Tenant, bgpvpn: Bgpvpn, name: str) -> Project:
    first = tenant.network("first", FIRST, dhcp=False)
    second = tenant.network("second", SECOND, dhcp=False)
    vpn = bgpvpn.l3()
    vpn.join(first)
    vpn.join(second)
    with tenant.together():
        return Project(
            vpn,
            tenant.probe(first, "compute-1", name=f"{name}-source", ip="10.150.1.10"),
            tenant.probe(second, "controller-1", name=f"{name}-target", ip="10.150.2.10"),
        )


@pytest.fixture(scope="module")
def ours(tenant: Tenant, bgpvpn: Bgpvpn) -> Project:
    return project(tenant, bgpvpn, "ours")


@pytest.fixture(scope="module")
def theirs(other_tenant: Tenant, other_bgpvpn: Bgpvpn) -> Project:
    return project(other_tenant, other_bgpvpn, "theirs")


def test_each_project_reaches_its_own(
    bgpvpn: Bgpvpn, other_bgpvpn: Bgpvpn, ours: Project, theirs: Project
) -> None:
    assert ours.target.ip == theirs.target.ip
    bgpvpn.reaches(ours.source, ours.target)
    other_bgpvpn.reaches(theirs.source, theirs.target)


def test_one_prefix_has_a_route_for_each_with_a_distinguisher_of_its_own(
    bgpvpn: Bgpvpn, ours: Project, theirs: Project
) -> None:
    found = bgpvpn.rib(ours.target)
    assert len({route.rd for route in found}) == len(found) == 2
    assert {route.targets for route in found} == {ours.vpn.exported, theirs.vpn.exported}
    assert len({route.label for route in found}) == 2


def test_what_one_has_alone_the_other_does_not_reach(
    tenant: Tenant, bgpvpn: Bgpvpn, ours: Project, theirs: Project
) -> None:
    network = tenant.network("third", "10.150.3.0/24", dhcp=False)
    alone = tenant.probe(network, "controller-1", name="alone")
    with_us = ours.vpn.join(network)
    bgpvpn.reaches(ours.source, alone)
    assert bgpvpn.apart(theirs.source, alone)
    with_us.leave()
