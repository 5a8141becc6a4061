"""The plain network: what is on one network reaches each other, on whatever node it is."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.sdn.capture import tunnel_capture
from pytest_kollalab.sdn.capture.decode import decode
from pytest_kollalab.sdn.capture.packets import Tunnel
from pytest_kollalab.sdn.capture.recordings import RECORDINGS
from pytest_kollalab.sdn.ovs.flows import bridge_flows

if TYPE_CHECKING:
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

WHOLE_FRAMES = 0x6558
# What tcpdump selects tunnels by, by their kind.
FILTERS = {"vxlan": "udp port 4789", "geneve": "udp port 6081"}
SYN, ACK = 0x02, 0x10


@pytest.mark.kollalab_smoke
def test_probes_on_two_nodes_reach_each_other(here: Probe, there: Probe) -> None:
    assert here.ping(there)
    assert there.ping(here)
    assert here.tcp_echo(there).name == "there"
    assert there.udp_echo(here).name == "here"


def test_they_talk_through_the_tunnel(tenant: Tenant, here: Probe, there: Probe) -> None:
    bridge = tenant.dataplane.tunnel_bridge or "br-int"
    before = bridge_flows(tenant.ssh, here.node, bridge, settled=True)
    assert here.ping(there, 5)
    grown = bridge_flows(tenant.ssh, here.node, bridge, settled=True).since(before)
    assert grown.where(dl_dst=there.mac).packets >= 5


def test_the_tunnel_carries_their_frames(tenant: Tenant, here: Probe, there: Probe) -> None:
    kind = tenant.dataplane.tunnel
    with tunnel_capture.watched(tenant.ssh, there.node, FILTERS[kind]) as seen:
        assert here.ping(there, 3)
    for src, dst in ((here, there), (there, here)):
        outside = seen.packets.between(src.ip, dst.ip)
        assert len(outside) == 3
        tunnels = {packet.tunnel for packet in outside if packet.tunnel is not None}
        assert {(each.kind, each.protocol) for each in tunnels} == {(kind, WHOLE_FRAMES)}
        assert {packet.innermost.src_mac for packet in outside} == {src.mac}


@pytest.mark.kollalab_backend("ovs")
def test_the_tunnel_has_the_number_of_the_network(
    tenant: Tenant, network: Network, here: Probe, there: Probe
) -> None:
    found: Any = tenant.admin.network.get_network(network.id)
    with tunnel_capture.watched(tenant.ssh, there.node, FILTERS["vxlan"]) as seen:
        assert here.ping(there, 3)
    outside = seen.packets.between(here.ip, there.ip)
    number = found.provider_segmentation_id
    assert {packet.tunnel for packet in outside} == {Tunnel("vxlan", WHOLE_FRAMES, number)}


def test_a_capture_has_both_ways_of_a_connection(here: Probe, there: Probe) -> None:
    with there.capture("tcp port 7777") as seen:
        assert here.tcp_echo(there)
    asked = seen.packets.between(here.ip, there.ip)
    told = seen.packets.between(there.ip, here.ip)
    assert (asked[0].dport, asked[0].flags) == (7777, SYN)
    assert (told[0].sport, told[0].flags) == (7777, SYN | ACK)
    assert len(asked) + len(told) == len(seen.packets)


def test_a_capture_keeps_what_it_saw_when_its_block_fails(here: Probe, there: Probe) -> None:
    began = time.time()
    with suppress(ZeroDivisionError), there.capture(f"icmp and src {here.ip}") as seen:
        assert here.ping(there, 3)
        raise ZeroDivisionError
    requests = seen.packets.requests
    assert len(requests) == 3
    # The captures of the test before may have ended within the same second.
    ((capture, frames),) = (
        (name, mine)
        for name, frames in RECORDINGS.during(began, time.time()).items()
        if (mine := [frame for frame in frames if decode(frame) in requests])
    )
    assert there.namespace.name in capture
    assert [frame.device for frame in frames] == [there.device] * 3


def test_the_whole_mtu_fits(network: Network, here: Probe, there: Probe) -> None:
    assert here.ping(there, size=network.mtu)
    assert not here.ping(there, 1, size=network.mtu + 1)


def test_many_packets_arrive_whole(here: Probe, there: Probe) -> None:
    assert here.tcp_echo(there, "0123456789" * 8000)


def test_another_network_is_apart_until_a_router_joins_them(
    tenant: Tenant, network: Network, here: Probe
) -> None:
    other = tenant.network("other", dhcp=False)
    stranger = tenant.probe(other, "compute-1", name="stranger")
    assert not here.ping(stranger, 1)
    tenant.router(network, other)
    here.reaches(stranger)
    # More than the router answers at once. The traceroute must show it as a hop all the same.
    too_short = ["ping", "-c", "10", "-i", "0.01", "-W", "1", "-t", "1", stranger.ip]
    here.namespace.run(too_short, check=False)
    assert here.traceroute(stranger) == (network.gateway, stranger.ip)
    assert here.tcp_echo(stranger).name == "stranger"


def test_a_floating_ip_leads_in_from_outside(tenant: Tenant) -> None:
    inner = tenant.network("inner", dhcp=False)
    tenant.router(inner, external=True)
    host = tenant.probe(inner, "compute-1", name="host")
    outside = tenant.outside()
    address = tenant.floating_ip(host.ports[0].id)
    outside.reaches(address, within=60)
    with host.listening("tcp", 80):
        assert outside.ask("tcp", address, 80).name == "host"
    assert host.ping(outside)
