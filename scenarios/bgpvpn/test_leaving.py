"""Who is not in the VPN, or left it, is not reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.tenant.tenant import Tenant


def test_a_network_that_never_joined(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        vpn.wait_converged()
        assert bgpvpn.apart(ends.near, ends.far)
        assert bgpvpn.apart(ends.far, ends.near)


def test_the_vpn_is_deleted(bgpvpn: Bgpvpn, ends: Ends) -> None:
    vpn = bgpvpn.l3()
    vpn.join(ends.left)
    vpn.join(ends.right)
    bgpvpn.reaches(ends.near, ends.far)
    vpn.delete()
    bgpvpn.lost(ends.near, ends.far)
    bgpvpn.withdrawn(ends.near)
    bgpvpn.withdrawn(ends.far)


def test_a_network_leaves(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        membership = vpn.join(ends.left)
        vpn.join(ends.right)
        bgpvpn.reaches(ends.far, ends.near)
        membership.leave()
        bgpvpn.lost(ends.far, ends.near)
        bgpvpn.withdrawn(ends.near)
        bgpvpn.announced(ends.far)


def test_it_joins_again(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.right)
        for _ in range(2):
            membership = vpn.join(ends.left)
            bgpvpn.reaches(ends.near, ends.far)
            membership.leave()
            bgpvpn.lost(ends.near, ends.far)


def test_a_router_leaves(tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends) -> None:
    routed = tenant.network("routed", dhcp=False)
    behind = tenant.probe(routed, "compute-1", name="behind")
    router = tenant.router(routed)
    with bgpvpn.l3() as vpn:
        vpn.join(ends.right)
        membership = vpn.join(router)
        bgpvpn.reaches(behind, ends.far)
        membership.leave()
        bgpvpn.lost(behind, ends.far)
        bgpvpn.withdrawn(behind)


def test_of_two_vpns_one_remains(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as one, bgpvpn.l3() as two:
        for vpn in (one, two):
            vpn.join(ends.left)
            vpn.join(ends.right)
        two.wait_converged()
        assert bgpvpn.announced(ends.near).targets == {*one.rt, *two.rt}
        one.delete()
        two.wait_converged()
        bgpvpn.reaches(ends.near, ends.far)
        two.delete()
        bgpvpn.lost(ends.near, ends.far)


def test_a_port_goes_with_its_route(tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        vpn.join(ends.right)
        guest = tenant.probe(ends.right, "controller-1", name="guest")
        bgpvpn.reaches(ends.near, guest)
        tenant.remove(guest)
        bgpvpn.withdrawn(guest)
        bgpvpn.reaches(ends.near, ends.far)
