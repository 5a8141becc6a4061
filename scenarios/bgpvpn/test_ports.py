"""A single port in a VPN: its own address, prefixes behind it, routes that lead through it."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant

BEHIND = "172.30.1.0/24"
ADDRESS = "172.30.1.7"
MANY = [f"172.30.2.{host}" for host in range(31, 121)]
SAMPLE = 5


@pytest.fixture(scope="module")
def third(tenant: Tenant, ends: Ends) -> Probe:
    """In the network of `far`, on the other node."""
    return tenant.probe(ends.right, "compute-1", name="third")


@pytest.fixture(scope="module", autouse=True)
def addresses_behind_both(ends: Ends, third: Probe) -> None:
    for probe in (ends.far, third):
        probe.forward()
        probe.own(ADDRESS)
    ends.far.own(*MANY)


def test_a_port_joins_and_its_network_does_not(bgpvpn: Bgpvpn, ends: Ends, third: Probe) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        vpn.join(ends.far)
        bgpvpn.reaches(ends.near, ends.far)
        bgpvpn.withdrawn(third)
        assert bgpvpn.apart(ends.near, third)


def test_a_prefix_behind_a_port_until_it_is_taken_off(bgpvpn: Bgpvpn, ends: Ends) -> None:
    assert bgpvpn.apart(ends.near, ADDRESS)
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        membership = vpn.join(ends.far, routes=[BEHIND])
        vpn.wait_converged()
        ends.near.reaches(ADDRESS)

        membership.announce([])
        bgpvpn.withdrawn(BEHIND)
        bgpvpn.lost(ends.near, ADDRESS)
        bgpvpn.reaches(ends.near, ends.far)


def test_a_prefix_goes_with_its_port(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        membership = vpn.join(ends.far, routes=[BEHIND])
        vpn.wait_converged()
        ends.near.reaches(ADDRESS)
        membership.leave()
        bgpvpn.withdrawn(BEHIND)
        bgpvpn.lost(ends.near, ADDRESS)


def test_a_prefix_without_the_address_of_its_port(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        vpn.join(ends.far, routes=[BEHIND], fixed_ips=False)
        bgpvpn.flow_appears("compute-1", BEHIND)
        assert not bgpvpn.rib(ends.far)
        # There is a route to the prefix, but without the address there is none back.
        with ends.far.capture(f"icmp and dst host {ADDRESS}") as seen:
            assert bgpvpn.apart(ends.near, ADDRESS)
        assert seen.packets


def test_ninety_prefixes(bgpvpn: Bgpvpn, ends: Ends) -> None:
    prefixes = [f"{address}/32" for address in MANY]
    # The speaker has an instance for each prefix of a port. This VPN only exports, because
    # otherwise each of ninety instances would import ninety routes.
    rt = bgpvpn.target()
    with bgpvpn.l3(exports=[rt]) as vpn, bgpvpn.l3(bgpvpn.target(), imports=[rt]) as both:
        both.join(ends.left)
        both.join(ends.right)
        membership = vpn.join(ends.far, routes=prefixes, fixed_ips=False)
        vpn.wait_converged(120)
        announced = {route.prefix for route in bgpvpn.reflector.routes()}
        assert announced >= set(prefixes)
        for address in [MANY[0], MANY[-1], *random.sample(MANY[1:-1], SAMPLE)]:
            ends.near.reaches(address)

        membership.announce([])
        for prefix in (prefixes[0], prefixes[-1]):
            bgpvpn.withdrawn(prefix, within=120)
        for address in (MANY[0], MANY[-1]):
            bgpvpn.lost(ends.near, address)


def test_the_preferred_of_two_ports_until_preference_changes(
    bgpvpn: Bgpvpn, ends: Ends, third: Probe
) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        first = vpn.join(ends.far, routes=[BEHIND], local_pref=200)
        second = vpn.join(third, routes=[BEHIND], local_pref=100)
        vpn.wait_converged()
        bgpvpn.await_who(ends.near, ADDRESS, ends.far, third, only=ends.far)

        first.announce([BEHIND], local_pref=100)
        second.announce([BEHIND], local_pref=200)
        bgpvpn.await_who(ends.near, ADDRESS, ends.far, third, only=third)


def test_the_other_port_takes_over(bgpvpn: Bgpvpn, ends: Ends, third: Probe) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        first = vpn.join(ends.far, routes=[BEHIND], local_pref=200)
        vpn.join(third, routes=[BEHIND], local_pref=100)
        vpn.wait_converged()
        bgpvpn.await_who(ends.near, ADDRESS, ends.far, third, only=ends.far)
        first.leave()
        bgpvpn.await_who(ends.near, ADDRESS, ends.far, third, only=third)


def test_two_ports_of_one_preference_share_the_load(
    bgpvpn: Bgpvpn, ends: Ends, third: Probe
) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        vpn.join(ends.far, routes=[BEHIND])
        vpn.join(third, routes=[BEHIND])
        vpn.wait_converged()
        bgpvpn.await_who(ends.near, ADDRESS, ends.far, third, only=None)


def test_routes_leak_through_a_port_that_forwards(
    tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends
) -> None:
    middle = tenant.network("middle", dhcp=False)
    transit = tenant.probe(middle, "compute-1", name="transit")
    to_left, from_left, to_right, from_right = (bgpvpn.target() for _ in range(4))
    left = bgpvpn.l3(imports=[to_left], exports=[from_left])
    right = bgpvpn.l3(imports=[to_right], exports=[from_right])
    inner = bgpvpn.l3(imports=[from_left, from_right])
    left.join(ends.left)
    right.join(ends.right)
    inner.join(middle)
    bgpvpn.l3(exports=[to_left]).join(transit, routes=[inner])
    back = bgpvpn.l3(exports=[to_right]).join(transit, routes=[left])
    # Routes that leak into the left VPN may leak from there into the VPN for the way back.
    bgpvpn.announced(ends.far, by="compute-1", rt=to_left)
    # The path leads through the port, whose probe does not forward packets yet.
    assert bgpvpn.apart(ends.near, ends.far)
    transit.forward()
    bgpvpn.reaches(ends.near, ends.far)
    assert transit.ip in ends.near.traceroute(ends.far)

    back.leave()
    bgpvpn.lost(ends.near, ends.far)


@pytest.mark.defect("bgpvpn-deleted-vpn-keeps-its-ports")
def test_a_port_is_let_go_by_a_vpn_that_is_deleted(
    tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends
) -> None:
    guest = tenant.probe(ends.right, "compute-1", name="guest")
    vpn = bgpvpn.l3()
    vpn.join(guest)
    bgpvpn.announced(guest)
    try:
        tenant.admin.network.delete_bgpvpn(vpn.id)
        bgpvpn.withdrawn(guest, within=10)
    finally:
        vpn.memberships.clear()
        tenant.remove(guest)


@pytest.mark.defect("bgpvpn-new-targets-do-not-reach-ports")
def test_new_targets_reach_a_port(bgpvpn: Bgpvpn, ends: Ends) -> None:
    rt = bgpvpn.target()
    with bgpvpn.l3() as vpn:
        vpn.join(ends.far)
        vpn.wait_converged()
        vpn.update([rt])
        vpn.wait_converged(10)
