"""Two networks in one VPN reach each other, in whatever order things are made."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

numbers = count(1)


class Pair:
    """Two networks, and later a probe in each."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.number = next(numbers)
        self.here = self.network("here")
        self.there = self.network("there")

    def network(self, name: str) -> Network:
        return self.tenant.network(f"{name}-{self.number}", dhcp=False)

    def probes(self, there: str = "compute-1") -> tuple[Probe, Probe]:
        # Routers are on the controller, so the probes are on the other node by default.
        with self.tenant.together():
            return (
                self.tenant.probe(self.here, "compute-1", name=f"here-{self.number}"),
                self.tenant.probe(self.there, there, name=f"there-{self.number}"),
            )


@pytest.fixture
def pair(tenant: Tenant) -> Pair:
    return Pair(tenant)


@pytest.mark.kollalab_smoke
def test_networks_probes_and_then_the_vpn(bgpvpn: Bgpvpn, pair: Pair) -> None:
    here, there = pair.probes("controller-1")
    assert bgpvpn.apart(here, there)
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    vpn.wait_converged()
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


def test_the_vpn_and_then_the_probes(bgpvpn: Bgpvpn, pair: Pair) -> None:
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    here, there = pair.probes("controller-1")
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


def test_a_router_at_the_first_network_comes_last(
    tenant: Tenant, bgpvpn: Bgpvpn, pair: Pair
) -> None:
    here, there = pair.probes("controller-1")
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    tenant.router(pair.here)
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


def test_a_router_at_the_second_network_joins(tenant: Tenant, bgpvpn: Bgpvpn, pair: Pair) -> None:
    here, there = pair.probes()
    router = tenant.router(pair.there)
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(router)
    tenant.router(pair.here)
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


def test_the_router_is_removed_once_the_vpn_is_there(
    tenant: Tenant, bgpvpn: Bgpvpn, pair: Pair
) -> None:
    here, there = pair.probes()
    router = tenant.router(pair.there)
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    bgpvpn.reaches(here, there)
    tenant.remove_router(router, pair.there)
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


def test_routers_at_both_come_after_the_vpn(tenant: Tenant, bgpvpn: Bgpvpn, pair: Pair) -> None:
    here, there = pair.probes()
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    tenant.router(pair.there)
    tenant.router(pair.here)
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


def test_a_router_the_vpn_the_probes_another_router(
    tenant: Tenant, bgpvpn: Bgpvpn, pair: Pair
) -> None:
    tenant.router(pair.there)
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    here, there = pair.probes()
    tenant.router(pair.here)
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


def test_the_vpn_a_router_the_probes_another_router(
    tenant: Tenant, bgpvpn: Bgpvpn, pair: Pair
) -> None:
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    tenant.router(pair.there)
    here, there = pair.probes()
    tenant.router(pair.here)
    bgpvpn.reaches(here, there)
    bgpvpn.reaches(there, here)


@pytest.mark.defect("bgpvpn-router-on-the-node-of-its-port")
def test_a_probe_on_the_node_of_its_router(tenant: Tenant, bgpvpn: Bgpvpn, pair: Pair) -> None:
    here, there = pair.probes("controller-1")
    vpn = bgpvpn.l3()
    vpn.join(pair.here)
    vpn.join(pair.there)
    tenant.router(pair.there)
    # Until the router exists, the speaker's gateway is used.
    assert pair.there.gateway
    there.reaches(pair.there.gateway)
    bgpvpn.reaches(there, here, within=10)
