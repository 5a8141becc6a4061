"""Three answers about one packet: what the API was asked, what OVN would do, what was seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.ovn.words import compared

if TYPE_CHECKING:
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.guards import Guards
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

WEB, OTHER = 8080, 8081


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("asked", dhcp=False)


@pytest.fixture(scope="module")
def client(tenant: Tenant, network: Network) -> Probe:
    return tenant.probe(network, "controller-1", name="client")


def ping(ovn: Ovn, asked: str, src: Probe, dst: Probe, *, holds: bool) -> None:
    ovn.sync()
    would = ovn.trace(src, dst)
    with dst.capture(f"icmp and src {src.ip}") as seen:
        src.ping(dst, 2, deadline=3)
    compared(asked, [would], seen.packets, holds=holds)


def connect(ovn: Ovn, asked: str, src: Probe, dst: Probe, port: int, *, holds: bool) -> None:
    ovn.sync()
    would = ovn.trace(src, dst, "tcp", port=port)
    with (
        dst.capture(f"tcp dst port {port} and src {src.ip}") as seen,
        dst.listening("tcp", port),
    ):
        answered = src.ask("tcp", dst, port, timeout=3)
    compared(asked, [would], seen.packets, holds=holds)
    assert bool(answered) is holds


@pytest.mark.kollalab_smoke
def test_one_network(ovn: Ovn, tenant: Tenant, network: Network, client: Probe) -> None:
    server = tenant.probe(network, "compute-1", name="server")
    client.reaches(server)
    ping(ovn, "both are in one network", client, server, holds=True)


def test_a_router_joins_two_networks_and_leaves(
    ovn: Ovn, tenant: Tenant, network: Network, client: Probe
) -> None:
    other = tenant.network("joined", dhcp=False)
    server = tenant.probe(other, "compute-1", name="server")
    router = tenant.router(network, other)
    client.reaches(server)
    trace = ovn.trace(client, server)
    assert trace.datapaths == tuple(f"neutron-{each}" for each in (network.id, router.id, other.id))
    ping(ovn, "a router joins the networks", client, server, holds=True)
    packet = ovn.packet(client, server)
    tenant.remove_router(router, network, other)
    ovn.sync()
    would = ovn.trace(client, packet)
    with server.capture("icmp") as seen:
        client.ping(server, 2, deadline=3)
    # It may still be flooded in its own network, whose ports have no port security.
    assert server.ports[0].id not in would.ports
    assert not seen.packets.requests


def test_a_group_without_rules_lets_nothing_in(
    ovn: Ovn, network: Network, client: Probe, guards: Guards
) -> None:
    closed = guards.probe(network, "compute-1", "closed", [guards.group("closed")])
    ping(ovn, "the group has no rule", client, closed, holds=False)
    connect(ovn, "the group has no rule", client, closed, WEB, holds=False)


def test_a_rule_lets_one_port_in_until_it_is_deleted(
    ovn: Ovn, tenant: Tenant, network: Network, client: Probe, guards: Guards
) -> None:
    group = guards.group("web")
    web = guards.probe(network, "compute-1", "web", [group])
    rule = guards.allow(group, "tcp", WEB)
    connect(ovn, f"a rule for port {WEB}", client, web, WEB, holds=True)
    connect(ovn, f"a rule for port {WEB} only", client, web, OTHER, holds=False)
    tenant.admin.network.delete_security_group_rule(rule)
    connect(ovn, "the rule was deleted", client, web, WEB, holds=False)


def test_a_rule_for_some_addresses(
    ovn: Ovn, tenant: Tenant, network: Network, client: Probe, guards: Guards
) -> None:
    stranger = tenant.probe(network, "controller-1", name="stranger")
    group = guards.group("friends")
    guarded = guards.probe(network, "compute-1", "guarded", [group])
    guards.allow(group, "icmp", remote_ip_prefix=f"{client.ip}/32")
    ping(ovn, "a rule for this address", client, guarded, holds=True)
    ping(ovn, "a rule for another address", stranger, guarded, holds=False)


def test_an_address_group_is_changed(
    ovn: Ovn, tenant: Tenant, network: Network, client: Probe, guards: Guards
) -> None:
    stranger = tenant.probe(network, "controller-1", name="second")
    known = guards.addresses("known", client.ip)
    group = guards.group("known")
    guarded = guards.probe(network, "compute-1", "listed", [group])
    guards.allow(group, "icmp", remote_address_group_id=known)
    ping(ovn, "its address is in the group", client, guarded, holds=True)
    ping(ovn, "its address is not in the group", stranger, guarded, holds=False)
    tenant.admin.network.add_addresses_to_address_group(known, [f"{stranger.ip}/32"])
    ping(ovn, "its address was added to the group", stranger, guarded, holds=True)


def test_members_of_a_group_reach_each_other(
    ovn: Ovn, network: Network, client: Probe, guards: Guards
) -> None:
    group = guards.group("members")
    one = guards.probe(network, "controller-1", "one", [group])
    two = guards.probe(network, "compute-1", "two", [group])
    guards.allow(group, "icmp", remote_group_id=group)
    ping(ovn, "both are members", one, two, holds=True)
    ping(ovn, "the sender is no member", client, two, holds=False)


def test_answers_pass_a_stateful_group(
    ovn: Ovn, network: Network, client: Probe, guards: Guards
) -> None:
    inside = guards.probe(network, "compute-1", "inside", [guards.group("out")])
    with client.listening("tcp", WEB):
        assert inside.ask("tcp", client, WEB)
    found = [
        each
        for each in ovn.connections("compute-1")
        if each.owner == inside.ports[0].id and each.protocol == "tcp"
    ]
    assert {(each.src, each.dst, each.dport) for each in found} == {(inside.ip, client.ip, WEB)}


def test_a_stateless_group_tracks_nothing_and_needs_a_rule_for_answers(
    ovn: Ovn, network: Network, client: Probe, guards: Guards
) -> None:
    group = guards.group("stateless", stateful=False)
    inside = guards.probe(network, "compute-1", "bare", [group])
    ovn.sync()
    with client.listening("udp", WEB):
        assert not inside.ask("udp", client, WEB, timeout=2)
        guards.allow(group, "udp")
        ovn.sync()
        assert inside.ask("udp", client, WEB)
    owners = {each.owner for each in ovn.connections("compute-1")}
    assert inside.ports[0].id not in owners


def test_a_forged_address_does_not_leave_a_guarded_port(
    ovn: Ovn, network: Network, client: Probe, guards: Guards
) -> None:
    forger = guards.probe(network, "compute-1", "forger", [guards.group("forger")])
    forged = f"{forger.ip.rpartition('.')[0]}.250"
    forger.own(forged)
    ovn.sync()
    with client.capture(f"icmp and src {forged}") as seen:
        forger.namespace.run(
            ["ping", "-n", "-c", "2", "-W", "1", "-I", forged, client.ip], check=False
        )
    assert not seen.packets
    assert forger.ping(client)


def test_an_allowed_address_leaves_a_guarded_port(
    ovn: Ovn, tenant: Tenant, network: Network, client: Probe, guards: Guards
) -> None:
    carrier = guards.probe(network, "compute-1", "carrier", [guards.group("carrier")])
    second = f"{carrier.ip.rpartition('.')[0]}.251"
    carrier.own(second)
    pairs = [{"ip_address": second}]
    tenant.admin.network.update_port(carrier.ports[0].id, allowed_address_pairs=pairs)
    ovn.sync()
    with client.capture(f"icmp and src {second}") as seen:
        carrier.namespace.run(
            ["ping", "-n", "-c", "2", "-W", "2", "-I", second, client.ip], check=False
        )
    assert len(seen.packets.requests) == 2


def test_a_connection_that_is_established_ends_when_its_rule_goes(
    ovn: Ovn, tenant: Tenant, network: Network, client: Probe, guards: Guards
) -> None:
    group = guards.group("gone")
    web = guards.probe(network, "compute-1", "gone", [group])
    rule = guards.allow(group, "udp", WEB)
    ovn.sync()
    with web.listening("udp", WEB):
        assert client.ask("udp", web, WEB, source_port=40100)
        assert ovn.trace(client, web, "udp", port=WEB, established=True)
        tenant.admin.network.delete_security_group_rule(rule)
        ovn.sync()
        assert not ovn.trace(client, web, "udp", port=WEB, established=True)
        assert not client.ask("udp", web, WEB, source_port=40100, timeout=2)
