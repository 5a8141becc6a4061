"""What OpenDaylight learns of the cloud: the same as the reflector, and as the API says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.features.bgpvpn.reflector import MACIP, MULTICAST
from pytest_kollalab.features.opendaylight.feature import OWN, REFLECTOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kollalab.features.bgpvpn.site import Site
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.features.opendaylight.words import OpenDaylight
    from pytest_kollalab.sdn.tenant.tenant import Tenant

ORACLES = ("frr", "bagpipe", "opendaylight")
PREFIXES = 90


def test_it_is_a_client_of_the_reflector(bgpvpn: Bgpvpn, opendaylight: OpenDaylight) -> None:
    sessions = opendaylight.neighbors()
    assert set(sessions) == {REFLECTOR}
    assert sessions[REFLECTOR]
    assert sessions[REFLECTOR].hold_time == 60
    assert bgpvpn.reflector.sessions()[OWN]


def test_three_oracles_say_the_same_of_each_host(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, ends: Ends, site: Site
) -> None:
    for probe in (ends.near, ends.far, site):
        told = {name: bgpvpn.announced(probe, oracle=name) for name in ORACLES}
        assert told["opendaylight"] == told["frr"]
        assert told["opendaylight"] == told["bagpipe"]


def test_its_rib_is_the_reflectors(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, ends: Ends, vpn: Vpn, site: Site
) -> None:
    for probe in (ends.near, ends.far, site):
        bgpvpn.announced(probe, oracle="opendaylight")
    mine = {route for route in opendaylight.routes() if route.targets >= vpn.exported}
    assert mine == {route for route in bgpvpn.reflector.routes() if route.targets >= vpn.exported}
    assert {route.prefix for route in mine} == {
        f"{probe.ip}/32" for probe in (ends.near, ends.far, site)
    }


def test_every_vpn_of_the_api_is_in_its_rib(
    tenant: Tenant, bgpvpn: Bgpvpn, opendaylight: OpenDaylight, ends: Ends, vpn: Vpn
) -> None:
    other = bgpvpn.l3()
    other.join(ends.left)
    bgpvpn.announced(ends.near, rt=other.rt[0], oracle="opendaylight")
    api = tenant.admin.network
    for made in api.bgpvpns(project_id=tenant.project.id):
        joined = api.bgpvpn_network_associations(made.id)
        hosts = {
            f"{address['ip_address']}/32"
            for each in joined
            for port in api.ports(network_id=each.network_id)
            if port.device_owner.startswith("compute:")
            for address in port.fixed_ips
        }
        found = {
            route.prefix
            for route in opendaylight.routes()
            if route.targets >= set(made.route_targets)
        }
        # The gateway is no host of the API.
        assert {each for each in found if not each.startswith("192.168.")} == hosts


def test_a_route_has_all_that_belongs_to_it(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, ends: Ends
) -> None:
    exported = bgpvpn.target()
    with bgpvpn.l3(bgpvpn.target(), exports=[exported], local_pref=77) as preferred:
        preferred.join(ends.left)
        route = bgpvpn.announced(ends.near, rt=exported, oracle="opendaylight")
        address = bgpvpn.speakers["compute-1"].address
        assert route.next_hop == address
        assert route.rd.partition(":")[0] == address
        assert route.targets >= preferred.exported
        assert route.local_pref == 77
        assert route.label is not None
        assert route.label >= 16


def test_a_withdrawn_route_leaves_and_the_session_stays(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    record_property: Callable[[str, object], None],
) -> None:
    before = bgpvpn.reflector.sessions()[OWN]
    brief = bgpvpn.ends()
    with bgpvpn.l3() as vpn:
        membership = vpn.join(brief.left)
        bgpvpn.announced(brief.near, oracle="opendaylight")
        membership.leave()
        seconds = bgpvpn.withdrawn(brief.near, oracle="opendaylight")
    record_property("seconds until withdrawn", round(seconds, 2))
    assert opendaylight.established
    assert bgpvpn.reflector.sessions()[OWN].times == before.times


def test_changed_targets_are_learned(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, ends: Ends
) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.right)
        (first,) = vpn.rt
        bgpvpn.announced(ends.far, rt=first, oracle="opendaylight")
        second = bgpvpn.target()
        vpn.update([second])
        route = bgpvpn.announced(ends.far, rt=second, oracle="opendaylight")
        assert first not in route.targets


def test_hosts_of_a_segment_are_in_its_rib(
    tenant: Tenant, bgpvpn: Bgpvpn, opendaylight: OpenDaylight
) -> None:
    network = tenant.network("segment", dhcp=False)
    probe = tenant.probe(network, "compute-1", name="segment")
    with bgpvpn.l2() as segment:
        membership = segment.join(network)
        told = bgpvpn.announced_mac(probe.mac)
        host = bgpvpn.announced_mac(probe.mac, oracle="opendaylight")
        assert (host.kind, host.prefix) == (MACIP, told.prefix)
        assert (host.rd, host.next_hop) == (told.rd, told.next_hop)
        assert host.targets >= segment.exported
        everyone = [
            route
            for route in opendaylight.evpn_routes()
            if route.kind == MULTICAST and route.targets >= segment.exported
        ]
        assert {route.next_hop for route in everyone} == {bgpvpn.speakers["compute-1"].address}
        assert set(opendaylight.rib()) >= {host, *everyone}
        membership.leave()
        bgpvpn.withdrawn_mac(probe.mac, oracle="opendaylight")


def test_ninety_routes_are_learned(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    ends: Ends,
    record_property: Callable[[str, object], None],
) -> None:
    prefixes = [f"172.20.{number}.0/24" for number in range(PREFIXES)]
    rt = bgpvpn.target()
    # The cloud's speaker has an instance for each prefix of a port. This VPN only exports, because
    # otherwise each of ninety instances would import ninety routes.
    with bgpvpn.l3(exports=[rt]) as vpn:
        vpn.join(ends.near, routes=prefixes)
        for oracle in ("frr", "opendaylight"):
            seconds = bgpvpn.all_announced(prefixes, rt=rt, within=120, oracle=oracle)
        record_property("seconds after the reflector has 90 routes", round(seconds, 2))
        mine = {route for route in opendaylight.routes() if route.prefix in prefixes}
        assert mine == {route for route in bgpvpn.reflector.routes() if route.prefix in prefixes}
    for prefix in (prefixes[0], prefixes[-1]):
        bgpvpn.withdrawn(prefix, within=120, oracle="opendaylight")


def test_only_restconf_is_listened_at_from_outside(opendaylight: OpenDaylight) -> None:
    outside = {each for each in opendaylight.listens_at() if not each.startswith("127.")}
    assert outside == {opendaylight.restconf.url.removeprefix("http://")}
