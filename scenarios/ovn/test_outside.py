"""The way out: source NAT and floating IPs on the gateway chassis, as OVN says and as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network, Router
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("inner", dhcp=False)


@pytest.fixture(scope="module")
def router(tenant: Tenant, network: Network) -> Router:
    return tenant.router(network, external=True)


@pytest.fixture(scope="module")
def host(tenant: Tenant, network: Network, router: Router) -> Probe:
    return tenant.probe(network, "compute-1", name="host")


@pytest.fixture(scope="module")
def outside(tenant: Tenant) -> Probe:
    return tenant.outside()


def test_the_gateway_is_on_the_chassis_that_may_have_it(
    ovn: Ovn, tenant: Tenant, router: Router
) -> None:
    api: Any = tenant.admin.network
    (port,) = api.ports(device_id=router.id, device_owner="network:router_gateway")
    assert ovn.chassis_of(f"cr-lrp-{port.id}") == "controller-1"


def test_who_is_inside_goes_out_with_the_address_of_the_router(
    ovn: Ovn, router: Router, host: Probe, outside: Probe
) -> None:
    host.reaches(outside, within=60)
    with outside.capture("icmp") as seen:
        assert host.ping(outside, 3)
    assert {packet.src for packet in seen.packets.requests} == {router.outside}
    trace = ovn.trace(host, outside)
    assert trace
    assert trace.does(f"ct_snat({router.outside})")


def test_a_floating_ip_leads_in_and_out(
    ovn: Ovn, tenant: Tenant, host: Probe, outside: Probe
) -> None:
    address = tenant.floating_ip(host.ports[0].id)
    outside.reaches(address, within=60)
    with host.listening("tcp", 80):
        assert outside.ask("tcp", address, 80).name == "host"
    with outside.capture("icmp") as seen:
        assert host.ping(outside, 3)
    assert {packet.src for packet in seen.packets.requests} == {address}
    assert ovn.trace(host, outside).does(f"ct_snat({address})")


def test_the_gateway_tracks_what_it_changes(
    ovn: Ovn, tenant: Tenant, router: Router, host: Probe, outside: Probe
) -> None:
    address = tenant.floating_ip(host.ports[0].id)
    outside.reaches(address, within=60)
    assert outside.ping(address, 3)
    changed = [
        each
        for each in ovn.connections("controller-1")
        if each.is_natted and each.dst == address and each.back_from == host.ip
    ]
    assert changed
    assert {each.owner.startswith(f"neutron-{router.id}") for each in changed} == {True}


def test_a_floating_ip_that_is_gone_leads_nowhere(
    ovn: Ovn, tenant: Tenant, router: Router, host: Probe, outside: Probe
) -> None:
    with tenant.part():
        address = tenant.floating_ip(host.ports[0].id)
        outside.reaches(address, within=60)
    ovn.sync()
    assert not outside.ping(address, 2, deadline=3)
    assert ovn.trace(host, outside).does(f"ct_snat({router.outside})")
