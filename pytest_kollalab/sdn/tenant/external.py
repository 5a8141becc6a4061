"""The external network: behind br-ex in a lab, or an existing one in an external cloud."""

from __future__ import annotations

from ipaddress import IPv4Network
from typing import TYPE_CHECKING

from pytest_kollalab.sdn.tenant.network import Network
from pytest_kollalab.system.errors import NeedsLabError

if TYPE_CHECKING:
    from openstack.connection import Connection

EXTERNAL = "external"
PHYSICAL_NETWORK = "physnet1"


def external_network(admin: Connection, cidr: str | None) -> Network:
    """Find or create the external network.

    Args:
        admin: The administrator's connection.
        cidr: The prefix of the subnet to create. None searches for any existing external network
            with an IPv4 subnet and creates nothing.

    Raises:
        NeedsLabError: No prefix is given and the cloud has no external network.
    """
    api = admin.network
    if cidr is None:
        return _found(admin)
    found = api.find_network(EXTERNAL)
    if found is None:
        found = api.create_network(
            name=EXTERNAL,
            is_router_external=True,
            provider_network_type="flat",
            provider_physical_network=PHYSICAL_NETWORK,
        )
    subnet = next(iter(api.subnets(network_id=found.id)), None)
    if subnet is None:
        net = IPv4Network(cidr)
        pool = {"start": str(net[net.num_addresses // 2]), "end": str(net[-2])}
        subnet = api.create_subnet(
            name=EXTERNAL,
            network_id=found.id,
            ip_version=4,
            cidr=cidr,
            gateway_ip=str(net[1]),
            enable_dhcp=False,
            allocation_pools=[pool],
        )
    return Network(found.id, EXTERNAL, subnet.id, subnet.cidr, subnet.gateway_ip, int(found.mtu))


def _found(admin: Connection) -> Network:
    api = admin.network
    for found in api.networks(is_router_external=True):
        for subnet in api.subnets(network_id=found.id, ip_version=4):
            return Network(
                found.id, found.name, subnet.id, subnet.cidr, subnet.gateway_ip, int(found.mtu)
            )
    raise NeedsLabError("an external network needs a lab; this cloud has none to offer")
