"""What the peer of the cloud learns: routes with all that belongs to them, and their end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.bgpvpn.feature import FEATURE
from pytest_kollalab.features.bgpvpn.vpn import LABELS, ROUTES
from pytest_kollalab.features.opendaylight.feature import OWN as OPENDAYLIGHT
from pytest_kollalab.report import artifacts
from pytest_kollalab.sdn.capture import tunnel_capture
from pytest_kollalab.sdn.capture.packets import Tunnel

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.tenant.tenant import Tenant

NODES = ("controller-1", "compute-1", "gateway-1")
PINGS = 5


def test_every_node_has_a_session(bgpvpn: Bgpvpn) -> None:
    sessions = bgpvpn.reflector.sessions()
    addresses = {bgpvpn.speakers[node].address for node in NODES}
    # The only client that another feature brings.
    assert {peer for peer, session in sessions.items() if session} - {OPENDAYLIGHT} == addresses
    for node in NODES:
        assert bgpvpn.speakers[node].established


def test_a_failure_keeps_what_reflector_and_speakers_know(
    tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn
) -> None:
    span = artifacts.Span(time.time() - 1, time.time())
    kept = {}
    for node in NODES:
        kept.update(artifacts.ask_node(tenant.ssh, node, span, FEATURE.artifacts))
    (bgp,) = (text for name, text in kept.items() if name.endswith("/others/bgp"))
    for node in NODES:
        assert bgpvpn.speakers[node].address in bgp
    for node in ("controller-1", "compute-1"):
        for text in (bgp, kept[f"{node}/others/bagpipe"]):
            assert f"{ends.near.ip}/32" in text
            assert f"{ends.far.ip}/32" in text
    assert kept["gateway-1/others/bagpipe"]


def test_a_route_has_all_that_belongs_to_it(bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> None:
    for probe in (ends.near, ends.far):
        (route,) = bgpvpn.rib(probe)
        address = bgpvpn.speakers[probe.node].address
        assert route.prefix == f"{probe.ip}/32"
        assert route.next_hop == address
        assert route.rd.partition(":")[0] == address
        assert route.targets == set(vpn.rt)
        assert route.label is not None
        assert route.label >= 16


def test_only_ports_of_hosts_are_announced(
    tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn
) -> None:
    announced = {r.prefix for r in bgpvpn.reflector.routes() if r.targets == vpn.exported}
    assert announced == {f"{ends.near.ip}/32", f"{ends.far.ip}/32"}


def test_the_label_leads_to_the_port(bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> None:
    label = bgpvpn.announced(ends.far).label
    before = {node: bgpvpn.flows(node, settled=True) for node in NODES[:2]}
    bgpvpn.reaches(ends.near, ends.far)
    assert ends.near.ping(ends.far, PINGS)
    grown = {node: bgpvpn.flows(node, settled=True).since(before[node]) for node in NODES[:2]}
    sent = grown["compute-1"].where(table=ROUTES, nw_dst=ends.far.ip)
    arrived = grown["controller-1"].where("mpls", table=LABELS, mpls_label=str(label))
    assert sent.packets >= PINGS
    assert arrived.packets == sent.packets


def test_mpls_in_gre_is_on_the_wire(tenant: Tenant, bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> None:
    there, back = bgpvpn.announced(ends.far), bgpvpn.announced(ends.near)
    with tunnel_capture.watched(tenant.ssh, "controller-1") as seen:
        assert ends.near.ping(ends.far, PINGS)
    for src, dst, route, via in (
        (ends.near, ends.far, there, back),
        (ends.far, ends.near, back, there),
    ):
        packets = seen.packets.between(src.ip, dst.ip)
        assert len(packets) == PINGS
        for packet in packets:
            assert packet.tunnel == Tunnel("gre", tunnel_capture.MPLS)
            assert packet.innermost.labels == (route.label,)
            assert (packet.src, packet.dst) == (via.next_hop, route.next_hop)


def test_the_whole_mtu_fits(ends: Ends, vpn: Vpn) -> None:
    ends.near.reaches(ends.far)
    assert ends.near.ping(ends.far, size=ends.left.mtu)
    assert not ends.near.ping(ends.far, 1, size=ends.left.mtu + 1)


@pytest.mark.defect("bgpvpn-ttl-is-not-lowered")
def test_one_hop_is_counted(ends: Ends, vpn: Vpn) -> None:
    ends.near.reaches(ends.far)
    assert not ends.near.ping(ends.far, 1, ttl=1)
    assert set(ends.near.ping(ends.far).ttls) == {63}


def test_the_speaker_shows_its_instances(bgpvpn: Bgpvpn, ends: Ends, vpn: Vpn) -> None:
    instances = bgpvpn.speakers["compute-1"].instances()
    assert [name for name in instances if ends.left.id in name]
    assert not [name for name in instances if ends.right.id in name]


def test_preference_travels_with_the_route(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3(local_pref=77) as preferred:
        preferred.join(ends.left)
        preferred.wait_converged()
        (route,) = (r for r in bgpvpn.rib(ends.near) if r.targets >= preferred.exported)
        assert route.local_pref == 77


def test_seconds_from_the_call_to_the_dataplane_and_back(
    bgpvpn: Bgpvpn, ends: Ends, record_property: Callable[[str, object], None]
) -> None:
    fresh = bgpvpn.ends()
    vpn = bgpvpn.l3()
    vpn.join(fresh.left)
    vpn.join(fresh.right)
    there = vpn.wait_converged()
    record_property("seconds until converged", round(there, 2))
    membership = vpn.memberships[0]
    membership.leave()
    gone = bgpvpn.withdrawn(fresh.near)
    record_property("seconds until withdrawn", round(gone, 2))
    vpn.delete()
    bgpvpn.withdrawn(fresh.far)
    assert there < 30
    assert gone < 30
