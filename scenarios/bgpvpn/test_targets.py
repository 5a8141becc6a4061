"""Route targets decide who reaches whom, also while they change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def neighbour(tenant: Tenant, ends: Ends) -> Probe:
    """In the same network as `near`, on the other node."""
    return tenant.probe(ends.left, "controller-1", name="neighbour")


@pytest.fixture(scope="module")
def companion(tenant: Tenant, ends: Ends) -> Probe:
    """In the same network as `far`, on the other node."""
    return tenant.probe(ends.right, "compute-1", name="companion")


def test_disjoint_targets_part_and_a_common_one_joins_again(bgpvpn: Bgpvpn, ends: Ends) -> None:
    rt = bgpvpn.target()
    with bgpvpn.l3(rt) as vpn:
        vpn.join(ends.left)
        vpn.join(ends.right)
        bgpvpn.reaches(ends.near, ends.far)

        vpn.update(imports=[rt], exports=[bgpvpn.target()])
        bgpvpn.lost(ends.near, ends.far)
        assert bgpvpn.apart(ends.far, ends.near)

        vpn.update([rt])
        bgpvpn.reaches(ends.near, ends.far)
        bgpvpn.reaches(ends.far, ends.near)


def test_one_common_target_is_enough(bgpvpn: Bgpvpn, ends: Ends) -> None:
    rt, more = bgpvpn.target(), bgpvpn.target()
    with bgpvpn.l3(rt) as vpn:
        vpn.join(ends.left)
        vpn.join(ends.right)
        bgpvpn.reaches(ends.near, ends.far)

        vpn.update([rt], imports=[rt], exports=[more])
        vpn.wait_converged()
        bgpvpn.reaches(ends.near, ends.far)
        assert bgpvpn.announced(ends.far).targets == {rt, more}

        vpn.update([rt])
        vpn.wait_converged()
        bgpvpn.reaches(ends.near, ends.far)


def test_a_network_joins_while_the_targets_are_disjoint(bgpvpn: Bgpvpn, ends: Ends) -> None:
    rt, unmatched = bgpvpn.target(), bgpvpn.target()
    with bgpvpn.l3(imports=[rt], exports=[unmatched]) as vpn:
        vpn.join(ends.left)
        vpn.wait_converged()
        assert bgpvpn.apart(ends.near, ends.far)

        vpn.join(ends.right)
        vpn.wait_converged()
        assert bgpvpn.apart(ends.near, ends.far)

        vpn.update([rt])
        bgpvpn.reaches(ends.near, ends.far)


def test_neighbours_in_one_network_never_part(
    bgpvpn: Bgpvpn, ends: Ends, neighbour: Probe, companion: Probe
) -> None:
    rt, unmatched = bgpvpn.target(), bgpvpn.target()
    with bgpvpn.l3(imports=[rt], exports=[unmatched]) as vpn:
        vpn.join(ends.left)
        vpn.wait_converged()
        assert bgpvpn.apart(ends.near, ends.far)
        bgpvpn.reaches(ends.near, neighbour)

        vpn.join(ends.right)
        vpn.wait_converged()
        assert bgpvpn.apart(ends.near, ends.far)
        bgpvpn.reaches(ends.far, companion)

        vpn.update([rt])
        bgpvpn.reaches(ends.near, ends.far)
        bgpvpn.reaches(ends.near, neighbour)
        bgpvpn.reaches(ends.far, companion)


def test_neighbours_behind_a_router_never_part(
    tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends, neighbour: Probe
) -> None:
    rt, unmatched = bgpvpn.target(), bgpvpn.target()
    routed = tenant.network("routed", dhcp=False)
    with tenant.together():
        behind = tenant.probe(routed, "compute-1", name="behind")
        beside = tenant.probe(routed, "compute-1", name="beside")
    router = tenant.router(routed)
    with bgpvpn.l3(imports=[rt], exports=[unmatched]) as vpn:
        vpn.join(ends.left)
        vpn.join(router)
        vpn.wait_converged()
        assert bgpvpn.apart(behind, ends.near)
        bgpvpn.reaches(behind, beside)
        bgpvpn.reaches(ends.near, neighbour)

        vpn.update([rt])
        bgpvpn.reaches(behind, neighbour)
        bgpvpn.reaches(behind, beside)
        bgpvpn.reaches(ends.near, neighbour)


def test_an_empty_list_parts(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        vpn.join(ends.right)
        bgpvpn.reaches(ends.near, ends.far)
        vpn.update()
        bgpvpn.lost(ends.near, ends.far)
        assert bgpvpn.apart(ends.far, ends.near)


def test_disjoint_from_the_beginning(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3(imports=[bgpvpn.target()], exports=[bgpvpn.target()]) as vpn:
        vpn.join(ends.left)
        vpn.join(ends.right)
        vpn.wait_converged()
        assert bgpvpn.apart(ends.near, ends.far)


def test_an_update_to_disjoint_targets_parts(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        vpn.join(ends.right)
        bgpvpn.reaches(ends.near, ends.far)
        vpn.update(imports=[bgpvpn.target()], exports=[bgpvpn.target()])
        vpn.wait_converged()
        bgpvpn.lost(ends.near, ends.far)


def test_a_hub_reaches_its_spokes_which_do_not_reach_each_other(
    bgpvpn: Bgpvpn, ends: Ends, tenant: Tenant
) -> None:
    hub, spoke = bgpvpn.target(), bgpvpn.target()
    middle = tenant.network("middle", dhcp=False)
    centre = tenant.probe(middle, "controller-1", name="centre")
    with (
        bgpvpn.l3(imports=[spoke], exports=[hub]) as inner,
        bgpvpn.l3(imports=[hub], exports=[spoke]) as outer,
    ):
        inner.join(middle)
        outer.join(ends.left)
        outer.join(ends.right)
        bgpvpn.reaches(ends.near, centre)
        bgpvpn.reaches(centre, ends.far)
        assert bgpvpn.apart(ends.near, ends.far)
