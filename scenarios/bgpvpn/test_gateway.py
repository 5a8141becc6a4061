"""A host in a data centre and hosts in the cloud, with a gateway between them that speaks BGP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.capture import tunnel_capture
from pytest_kollalab.sdn.capture.packets import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kollalab.features.bgpvpn.site import Site
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.tenant.tenant import Tenant

SIZE = 10_000_000
PINGS = 5


@pytest.fixture(scope="module")
def site(bgpvpn: Bgpvpn, vpn: Vpn) -> Site:
    return bgpvpn.site("archive", rt=vpn.rt)


def test_the_cloud_reaches_the_data_centre(bgpvpn: Bgpvpn, ends: Ends, site: Site) -> None:
    bgpvpn.reaches(ends.near, site)
    bgpvpn.reaches(ends.far, site)


def test_the_data_centre_reaches_the_cloud(bgpvpn: Bgpvpn, ends: Ends, site: Site) -> None:
    bgpvpn.reaches(site, ends.near)
    bgpvpn.reaches(site, ends.far)


def test_the_gateway_announces_its_host(bgpvpn: Bgpvpn, vpn: Vpn, site: Site) -> None:
    route = bgpvpn.announced(site)
    assert route.next_hop == bgpvpn.speakers["gateway-1"].address
    assert route.targets == vpn.exported


def test_the_gateway_has_a_way_to_each_host_of_the_cloud(
    bgpvpn: Bgpvpn, ends: Ends, site: Site
) -> None:
    bgpvpn.reaches(site, ends.near)
    for probe in (ends.near, ends.far):
        assert bgpvpn.flows("gateway-1").where(nw_dst=probe.ip)


@pytest.mark.parametrize("way", ["up", "down"])
def test_ten_megabytes_arrive_whole(
    bgpvpn: Bgpvpn,
    ends: Ends,
    site: Site,
    way: str,
    record_property: Callable[[str, object], None],
) -> None:
    source, target = (ends.near, site) if way == "up" else (site, ends.near)
    bgpvpn.reaches(source, target)
    done = source.transfer(target, SIZE)
    assert done, done
    assert done.sent == SIZE
    record_property("seconds for 10 MB", done.seconds)


def test_labels_are_on_the_wire(tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends, site: Site) -> None:
    bgpvpn.reaches(ends.near, site)
    up, down = bgpvpn.announced(site), bgpvpn.announced(ends.near)
    with tunnel_capture.watched(tenant.ssh, "gateway-1") as seen:
        assert ends.near.ping(site, PINGS)
    requests = seen.packets.between(ends.near.ip, site.ip)
    replies = seen.packets.between(site.ip, ends.near.ip)
    assert {packet.tunnel for packet in (*requests, *replies)} == {
        Tunnel("gre", tunnel_capture.MPLS)
    }
    assert [packet.innermost.labels for packet in requests] == [(up.label,)] * PINGS
    assert [packet.innermost.labels for packet in replies] == [(down.label,)] * PINGS


def test_another_site_is_apart(bgpvpn: Bgpvpn, ends: Ends, site: Site) -> None:
    stranger = bgpvpn.site("stranger", rt=[bgpvpn.target()])
    bgpvpn.announced(stranger)
    assert bgpvpn.apart(ends.near, stranger)
    assert bgpvpn.apart(stranger, ends.near)
    assert bgpvpn.apart(stranger, site)
    stranger.remove()


def test_a_site_that_only_takes_routes(bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> None:
    listener = bgpvpn.site("listener", imports=vpn.rt, exports=[bgpvpn.target()])
    bgpvpn.announced(listener)
    with ends.near.capture(f"icmp and src host {listener.ip}") as seen:
        assert bgpvpn.apart(listener, ends.near)
    # The way there is known, and no way back.
    assert seen.packets
    assert bgpvpn.apart(ends.near, listener)
    listener.remove()


def test_a_site_that_only_gives_routes(bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> None:
    speaker = bgpvpn.site("speaker", imports=[bgpvpn.target()], exports=vpn.rt)
    bgpvpn.announced(speaker)
    bgpvpn.flow_appears("compute-1", speaker)
    with speaker.capture(f"icmp and src host {ends.near.ip}") as seen:
        assert bgpvpn.apart(ends.near, speaker)
    assert seen.packets
    assert bgpvpn.apart(speaker, ends.near)
    speaker.remove()


def test_a_vpn_that_only_takes_routes(bgpvpn: Bgpvpn, ends: Ends, site: Site) -> None:
    rt, silent = bgpvpn.target(), bgpvpn.target()
    remote = bgpvpn.site("remote", rt=[rt])
    with bgpvpn.l3(imports=[rt], exports=[silent]) as one_way:
        one_way.join(ends.left)
        one_way.wait_converged()
        bgpvpn.flow_appears("compute-1", remote)
        with remote.capture(f"icmp and src host {ends.near.ip}") as seen:
            assert bgpvpn.apart(ends.near, remote)
        assert seen.packets
    remote.remove()


def test_a_site_goes_and_comes_back(bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> None:
    guest = bgpvpn.site("guest", rt=vpn.rt)
    bgpvpn.reaches(ends.near, guest)
    guest.detach()
    bgpvpn.withdrawn(guest)
    bgpvpn.lost(ends.near, guest)
    guest.attach(vpn.rt, vpn.rt)
    bgpvpn.reaches(ends.near, guest)
    guest.remove()


def test_the_gateway_takes_the_preferred_way(bgpvpn: Bgpvpn, ends: Ends, site: Site) -> None:
    rt, anycast = bgpvpn.target(), "172.31.9.9"
    for probe in (ends.near, ends.far):
        probe.own(anycast)
    remote = bgpvpn.site("remote", rt=[rt])
    with bgpvpn.l3(rt) as vpn:
        first = vpn.join(ends.near, routes=[f"{anycast}/32"], local_pref=200)
        vpn.join(ends.far, routes=[f"{anycast}/32"], local_pref=100)
        bgpvpn.await_who(remote, anycast, ends.near, ends.far, only=ends.near)
        first.leave()
        bgpvpn.await_who(remote, anycast, ends.near, ends.far, only=ends.far)
    remote.remove()
