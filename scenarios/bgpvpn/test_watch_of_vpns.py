"""Traffic across a BGP VPN and from the data centre over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.traffic.watch import TrafficWatch


def test_a_data_centre_that_is_gone_for_a_while(
    bgpvpn: Bgpvpn, vpn: Vpn, ends: Ends, watch: TrafficWatch
) -> None:
    site = bgpvpn.site("archive", rt=vpn.rt)
    bgpvpn.reaches(site, ends.near)
    bgpvpn.reaches(ends.near, ends.far)
    across = watch.udp(ends.near, ends.far)
    up, down = watch.ping(site, ends.near), watch.tcp(ends.near, site)
    with watch(across, up, down) as seen:
        seen.note("the data centre leaves")
        site.detach()
        bgpvpn.lost(ends.near, site)
        site.attach(vpn.rt, vpn.rt)
        seen.flows_again()
    assert seen[across].lost == 0, str(seen)
    gap = max(seen[up].gaps, key=lambda each: each.seconds)
    assert gap.lost > 0
    named = [str(each) for each in gap.names]
    assert any(each.startswith("flows: br-mpls") for each in named), named
    assert seen[down].longest > 0
