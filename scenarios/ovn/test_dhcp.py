"""DHCP without an agent: ovn-controller answers on the node of who asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.sdn.capture import tunnel_capture

if TYPE_CHECKING:
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

METADATA = "169.254.169.254/32"


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("leased")


@pytest.mark.parametrize("node", ["controller-1", "compute-1"])
def test_a_port_is_offered_its_address_and_mtu(tenant: Tenant, network: Network, node: str) -> None:
    probe = tenant.probe(network, node)
    offer = probe.dhcp_offer()
    assert offer.address == probe.ip
    assert offer.router == network.gateway
    assert offer.mtu == network.mtu
    assert offer.netmask == "255.255.255.0"


def test_the_way_to_the_metadata_is_offered(tenant: Tenant, network: Network) -> None:
    probe = tenant.probe(network, "compute-1")
    api: Any = tenant.admin.network
    (metadata,) = api.ports(network_id=network.id, device_owner="network:distributed")
    offer = probe.dhcp_offer()
    assert offer.routes[METADATA] == metadata.fixed_ips[0]["ip_address"]
    assert offer.routes["0.0.0.0/0"] == network.gateway


def test_the_question_does_not_leave_the_node(tenant: Tenant, network: Network) -> None:
    probe = tenant.probe(network, "compute-1")
    tenant.probe(network, "controller-1", name="other")
    with tunnel_capture.watched(tenant.ssh, "compute-1", "udp port 6081") as seen:
        assert probe.dhcp_offer()
    assert not [
        packet
        for packet in seen.packets
        if packet.innermost.protocol == "udp" and packet.innermost.dport in (67, 68)
    ]


def test_a_network_without_dhcp_offers_nothing(ovn: Ovn, tenant: Tenant) -> None:
    probe = tenant.probe(tenant.network("unleased", dhcp=False))
    ovn.sync()
    assert not probe.dhcp_offer(within=3)


def test_an_option_of_a_port_is_offered(ovn: Ovn, tenant: Tenant, network: Network) -> None:
    probe = tenant.probe(network, "compute-1")
    api: Any = tenant.admin.network
    options = [{"opt_name": "mtu", "opt_value": "1300", "ip_version": 4}]
    api.update_port(probe.ports[0].id, extra_dhcp_opts=options)
    ovn.sync()
    assert probe.dhcp_offer().mtu == 1300
