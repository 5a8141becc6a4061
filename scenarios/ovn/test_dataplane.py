"""Packets between nodes: Geneve with the ports in it, and routers where the senders are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.sdn.capture import tunnel_capture

if TYPE_CHECKING:
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.guards import Guards
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

GENEVE = "udp port 6081"
# The option in which OVN says from which port to which one a packet goes.
CLASS, TYPE = 0x0102, 0x80
HEADERS = 58


def test_a_tunnel_says_which_ports_a_packet_is_for(
    ovn: Ovn, tenant: Tenant, here: Probe, there: Probe
) -> None:
    (_, source), (network, target) = (ovn.keys(probe.ports[0].id) for probe in (here, there))
    with tunnel_capture.watched(tenant.ssh, there.node, GENEVE) as seen:
        assert here.ping(there, 3)
    outside = seen.packets.between(here.ip, there.ip)
    assert len(outside) == 3
    for packet in outside:
        assert packet.tunnel is not None
        assert packet.tunnel.id == network
        ((space, kind, value),) = packet.tunnel.options
        assert (space, kind) == (CLASS, TYPE)
        ports = int.from_bytes(value)
        assert (ports >> 16, ports & 0xFFFF) == (source, target)


def test_the_mtu_leaves_room_for_geneve(network: Network, here: Probe, there: Probe) -> None:
    assert network.mtu == 1500 - HEADERS
    assert here.ping(there, size=network.mtu)
    assert not here.ping(there, 1, size=network.mtu + 1)


def test_a_router_is_on_the_node_of_who_sends(tenant: Tenant, network: Network) -> None:
    other = tenant.network("other", dhcp=False)
    tenant.router(network, other)
    one = tenant.probe(network, "compute-1", name="one")
    two = tenant.probe(other, "compute-1", name="two")
    one.reaches(two)
    with tunnel_capture.watched(tenant.ssh, "compute-1", GENEVE) as seen:
        assert one.ping(two, 5)
    assert set(one.ping(two).ttls) == {63}
    assert not seen.packets.between(one.ip, two.ip)
    assert not seen.packets.between(two.ip, one.ip)


def test_a_routed_packet_crosses_the_tunnel_once_behind_the_router(
    ovn: Ovn, tenant: Tenant, network: Network, here: Probe
) -> None:
    other = tenant.network("far", dhcp=False)
    tenant.router(network, other)
    target = tenant.probe(other, "compute-1", name="target")
    here.reaches(target)
    key, _ = ovn.keys(target.ports[0].id)
    with tunnel_capture.watched(tenant.ssh, "compute-1", GENEVE) as seen:
        assert here.ping(target, 3)
    outside = seen.packets.between(here.ip, target.ip)
    # It is in the target's network already.
    assert [packet.tunnel.id for packet in outside if packet.tunnel] == [key] * 3
    assert {packet.innermost.ttl for packet in outside} == {63}


def test_the_switch_is_explained_as_packets_go(
    ovn: Ovn, network: Network, here: Probe, guards: Guards
) -> None:
    group = guards.group("explained")
    guards.allow(group, "icmp")
    # OVN looks up addresses of ports with port security only; for others it learns them.
    target = guards.probe(network, "compute-1", "explained", [group])
    here.reaches(target)
    with target.capture(f"icmp and src {here.ip}") as seen:
        assert here.ping(target, 1)
    (packet,) = seen.packets.requests
    found = ovn.explain(here, packet)
    assert found.leads_to == ((target.ports[0].id, "compute-1"),)
    assert not found.is_dropped
    assert found.steps[0].port == here.ports[0].id
    assert found.steps[0].interface == here.device
    (lookup,) = found.at("ls_in_l2_lkup")
    assert lookup.logical_match == f"eth.dst == {target.mac}"
