"""Every port of a tenant is in the topology as the API tells it, as long as it is there."""

from __future__ import annotations

from ipaddress import ip_interface
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.topology.topology import await_gone, await_port

if TYPE_CHECKING:
    from pytest_kollalab.features.skydive.words import Skydive
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("ports")


@pytest.mark.parametrize("node", ["controller-1", "compute-1"])
def test_a_port_appears_as_the_api_says_and_goes_with_its_probe(
    skydive: Skydive, tenant: Tenant, network: Network, node: str
) -> None:
    probe = tenant.probe(network, node)
    seen = await_port(skydive, probe.ports[0].id, within=30 * tenant.patience)
    assert (seen.node, seen.bridge, seen.name) == (node, "br-int", probe.device)
    assert seen.namespace == probe.namespace.name
    assert seen.mac == probe.mac
    assert seen.neutron is not None
    assert seen.neutron.network == network.id
    assert seen.neutron.addresses == (f"{probe.ip}/{network.prefix}",)

    tenant.remove(probe)
    await_gone(skydive, probe.ports[0].id, within=30 * tenant.patience)


# Of OVN's routers and DHCP servers no switch has a port.
@pytest.mark.kollalab_backend("ovs")
def test_all_ports_of_the_project_are_there(
    skydive: Skydive, tenant: Tenant, network: Network
) -> None:
    other = tenant.network("others")
    tenant.router(network, other)
    for place in (network, other):
        tenant.probe(place, "controller-1")
        tenant.probe(place, "compute-1")
    ports = list(tenant.admin.network.ports(project_id=tenant.project.id))
    owners = {port.device_owner for port in ports}
    assert {"network:dhcp", "network:router_interface", "compute:probe"} <= owners
    for port in ports:
        seen = await_port(skydive, port.id, within=30 * tenant.patience)
        assert seen.neutron is not None
        assert seen.node == port.binding_host_id
        assert seen.mac == port.mac_address
        assert seen.neutron.network == port.network_id
        addresses = {str(ip_interface(address).ip) for address in seen.neutron.addresses}
        assert addresses == {fixed["ip_address"] for fixed in port.fixed_ips}


# OVN's tunnels have numbers of its own.
@pytest.mark.kollalab_backend("ovs")
def test_the_tunnel_number_is_the_network_s(
    skydive: Skydive, tenant: Tenant, network: Network
) -> None:
    probe = tenant.probe(network, "compute-1")
    number = tenant.admin.network.get_network(network.id).provider_segmentation_id
    seen = await_port(skydive, probe.ports[0].id, within=30 * tenant.patience)
    assert seen.neutron is not None
    assert seen.neutron.vni == number
