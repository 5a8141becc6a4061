"""The plain network: what is on one network reaches each other, on whatever node it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.ovs.flows import bridge_flows

if TYPE_CHECKING:
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("data", dhcp=False)


@pytest.fixture(scope="module")
def here(tenant: Tenant, network: Network) -> Probe:
    return tenant.probe(network, "controller-1", name="here")


@pytest.fixture(scope="module")
def there(tenant: Tenant, network: Network, here: Probe) -> Probe:
    probe = tenant.probe(network, "compute-1", name="there")
    here.reaches(probe)
    return probe


@pytest.mark.smoke
def test_probes_on_two_nodes_reach_each_other(here: Probe, there: Probe) -> None:
    assert here.ping(there)
    assert there.ping(here)
    assert here.tcp_echo(there).name == "there"
    assert there.udp_echo(here).name == "here"


def test_they_talk_through_the_tunnel(tenant: Tenant, here: Probe, there: Probe) -> None:
    before = bridge_flows(tenant.ssh, here.node, "br-tun", settled=True)
    assert here.ping(there, 5)
    grown = bridge_flows(tenant.ssh, here.node, "br-tun", settled=True).since(before)
    assert grown.where(dl_dst=there.mac).packets >= 5


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
    # More than the router answers at once; it has to be a hop all the same.
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
