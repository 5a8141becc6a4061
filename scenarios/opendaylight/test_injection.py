"""Routes that a controller injects: they lead to where it says, for whom it says, until it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kollalab.features.bgpvpn.site import Site
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.features.compute.words import Compute
    from pytest_kollalab.features.opendaylight.words import Injected, OpenDaylight
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from scenarios.opendaylight.conftest import Way

    Inject = Callable[..., Injected]

ORACLES = ("frr", "bagpipe", "opendaylight")
BEHIND, HOST = "172.30.0.0/24", "172.30.0.1"
ROUTES = 90


@pytest.fixture(scope="module")
def site(bgpvpn: Bgpvpn, vpn: Vpn) -> Site:
    """A site with an address of a prefix that it does not announce."""
    site = bgpvpn.site("archive", rt=vpn.rt)
    site.own(HOST)
    return site


def test_a_prefix_behind_the_gateway_is_reached_as_long_as_it_is_announced(
    bgpvpn: Bgpvpn,
    ends: Ends,
    vpn: Vpn,
    site: Site,
    inject: Inject,
    record_property: Callable[[str, object], None],
) -> None:
    bgpvpn.reaches(ends.near, site)
    assert bgpvpn.apart(ends.near, HOST)
    with inject(BEHIND, vpn.rt, site):
        seconds = ends.near.reaches(HOST, within=60)
        record_property("seconds until reached", round(seconds, 2))
        ends.far.reaches(HOST, within=60)
        assert bgpvpn.who(ends.near, HOST, site) == {site.name}
    seconds = bgpvpn.lost(ends.near, HOST)
    record_property("seconds until lost", round(seconds, 2))
    bgpvpn.withdrawn(BEHIND)


def test_three_oracles_say_what_was_injected(
    bgpvpn: Bgpvpn, vpn: Vpn, site: Site, inject: Inject
) -> None:
    made = inject(BEHIND, vpn.rt, site, local_pref=120)
    for oracle in ORACLES:
        assert bgpvpn.announced(BEHIND, oracle=oracle) == made.route
    made.delete()
    for oracle in ORACLES:
        bgpvpn.withdrawn(BEHIND, oracle=oracle)


def test_a_server_reaches_it(
    tenant: Tenant, compute: Compute, bgpvpn: Bgpvpn, vpn: Vpn, site: Site, inject: Inject
) -> None:
    network = tenant.network("servers")
    server = tenant.server(network, "compute-1", name="asking")
    with bgpvpn.l3(*vpn.rt) as same:
        same.join(network)
        bgpvpn.announced(server)
        inject(BEHIND, vpn.rt, site)
        server.ssh(["ping", "-c", "3", "-w", "60", HOST])


def test_another_target_leads_nowhere(
    bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn, site: Site, inject: Inject
) -> None:
    made = inject(BEHIND, (bgpvpn.target(),), site)
    assert bgpvpn.announced(BEHIND) == made.route
    bgpvpn.reaches(ends.near, site)
    assert bgpvpn.apart(ends.near, HOST)


def test_several_targets_lead_there_from_several_vpns(
    bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn, site: Site, inject: Inject
) -> None:
    apart = bgpvpn.ends()
    with bgpvpn.l3() as other:
        other.join(apart.left)
        back = bgpvpn.site("back", imports=[*vpn.rt, *other.rt], exports=[bgpvpn.target()])
        back.own(HOST)
        inject(BEHIND, (*vpn.rt, *other.rt), back)
        ends.near.reaches(HOST, within=60)
        apart.near.reaches(HOST, within=60)


def test_changed_targets_of_a_vpn_decide(bgpvpn: Bgpvpn, site: Site, inject: Inject) -> None:
    apart = bgpvpn.ends()
    rt = bgpvpn.target()
    with bgpvpn.l3() as vpn:
        vpn.join(apart.left)
        vpn.wait_converged()
        back = bgpvpn.site("back", imports=vpn.rt, exports=[bgpvpn.target()])
        back.own(HOST)
        inject(BEHIND, (rt,), back)
        assert bgpvpn.apart(apart.near, HOST)
        vpn.update(vpn.rt, imports=[rt])
        apart.near.reaches(HOST, within=60)
        vpn.update(vpn.rt)
        bgpvpn.lost(apart.near, HOST)


def test_the_preferred_of_two_ways_is_taken(
    bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn, site: Site, inject: Inject
) -> None:
    other = bgpvpn.site("spare", rt=vpn.rt)
    other.own(HOST)
    first = inject(BEHIND, vpn.rt, site, local_pref=200)
    inject(BEHIND, vpn.rt, other, local_pref=100)
    bgpvpn.await_who(ends.near, HOST, site, other, only=site)
    first.delete()
    bgpvpn.await_who(ends.near, HOST, site, other, only=other)


def test_the_more_specific_of_two_ways_is_taken(
    bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn, site: Site, inject: Inject
) -> None:
    other = bgpvpn.site("closer", rt=vpn.rt)
    other.own(HOST)
    inject(BEHIND, vpn.rt, site)
    bgpvpn.await_who(ends.near, HOST, site, other, only=site)
    with inject(f"{HOST}/32", vpn.rt, other):
        bgpvpn.await_who(ends.near, HOST, site, other, only=other)
    bgpvpn.await_who(ends.near, HOST, site, other, only=site)


def test_ninety_routes_are_injected_and_withdrawn(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    site: Site,
    way: Callable[[Site], Way],
    record_property: Callable[[str, object], None],
) -> None:
    found, rt = way(site), bgpvpn.target()
    prefixes = [f"172.21.{number}.0/24" for number in range(ROUTES)]
    with opendaylight.together():
        for prefix in prefixes:
            opendaylight.inject(prefix, rt, found.next_hop, found.label)
    seconds = bgpvpn.all_announced(prefixes, rt=rt)
    record_property(f"seconds for {ROUTES} routes", round(seconds, 2))
    for prefix in prefixes:
        opendaylight.withdraw(prefix)
    for oracle in ("frr", "opendaylight"):
        bgpvpn.withdrawn(prefixes[-1], oracle=oracle)
    assert not [route for route in bgpvpn.reflector.routes() if rt in route.targets]
