"""Networks of one segment, joined by EVPN: addresses of hosts, and a way for what goes to all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.bgpvpn.reflector import MACIP, MULTICAST

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def halves(bgpvpn: Bgpvpn) -> Ends:
    """Two networks with the same addresses, whose hosts have different ones."""
    return bgpvpn.halves("10.160.1.0/24")


@pytest.fixture(scope="module")
def segment(bgpvpn: Bgpvpn, halves: Ends) -> Vpn:
    vpn = bgpvpn.l2()
    vpn.join(halves.left)
    vpn.join(halves.right)
    bgpvpn.announced_mac(halves.near.mac)
    bgpvpn.announced_mac(halves.far.mac)
    return vpn


def test_the_address_of_each_host(bgpvpn: Bgpvpn, halves: Ends, segment: Vpn) -> None:
    for probe in (halves.near, halves.far):
        route = bgpvpn.announced_mac(probe.mac)
        assert route.kind == MACIP
        assert route.next_hop == bgpvpn.speakers[probe.node].address
        assert route.targets >= segment.exported
        assert probe.ip in route.prefix


def test_a_way_for_what_goes_to_all(bgpvpn: Bgpvpn, halves: Ends, segment: Vpn) -> None:
    found = [
        route
        for route in bgpvpn.reflector.evpn_routes()
        if route.kind == MULTICAST and route.targets >= segment.exported
    ]
    assert {route.next_hop for route in found} == {
        bgpvpn.speakers[probe.node].address for probe in (halves.near, halves.far)
    }


def test_it_is_withdrawn(tenant: Tenant, bgpvpn: Bgpvpn) -> None:
    network = tenant.network("brief", dhcp=False)
    probe = tenant.probe(network, "compute-1", name="brief")
    with bgpvpn.l2() as vpn:
        membership = vpn.join(network)
        bgpvpn.announced_mac(probe.mac)
        membership.leave()
        bgpvpn.withdrawn_mac(probe.mac)


def test_one_network_in_a_segment_and_in_a_routed_vpn(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l2() as segment, bgpvpn.l3() as routed:
        segment.join(ends.left)
        routed.join(ends.left)
        routed.join(ends.right)
        routed.wait_converged()
        bgpvpn.announced_mac(ends.near.mac)
        bgpvpn.reaches(ends.near, ends.far)


@pytest.mark.defect("bgpvpn-network-in-both-types-leaves-an-instance")
def test_a_network_that_was_in_both_leaves_no_instance(tenant: Tenant, bgpvpn: Bgpvpn) -> None:
    network = tenant.network("both", dhcp=False)
    probe = tenant.probe(network, "compute-1", name="both")
    with bgpvpn.l2() as segment, bgpvpn.l3() as routed:
        segment.join(network)
        routed.join(network)
        bgpvpn.announced(probe)
        bgpvpn.announced_mac(probe.mac)
    bgpvpn.withdrawn(probe)
    bgpvpn.speakers["compute-1"].wait_forgotten(network.id, 10)


@pytest.mark.defect("bgpvpn-evpn-has-no-dataplane")
def test_hosts_of_one_segment_reach_each_other(bgpvpn: Bgpvpn, halves: Ends, segment: Vpn) -> None:
    bgpvpn.reaches(halves.near, halves.far, within=5)
