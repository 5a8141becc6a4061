"""What the API of a cloud calls things: networks, ports, servers, routers, functions and VPNs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn.services import offered
from pytest_kollalab.sdn.topology import chains

if TYPE_CHECKING:
    from openstack.connection import Connection


@dataclass(frozen=True)
class NamedPort:
    """A port in the API: its name, its owner such as `network:dhcp`, and the id of its device."""

    name: str
    owner: str
    device: str


@dataclass(frozen=True)
class NamedVpn:
    """A BGP VPN in the API.

    Attributes:
        id: Its id.
        name: Its name.
        kind: `l3` or `l2`.
        imports: The route targets that it imports.
        exports: The route targets that it exports.
        members: The ids of its networks, routers and ports.
    """

    id: str
    name: str
    kind: str
    imports: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Names:
    """The names of a cloud.

    Attributes:
        networks: The names of networks, by id.
        ports: The ports, by id.
        servers: The names of servers, by id.
        routers: The names of routers, by id.
        functions: The ids of the ports of service functions.
        chains: The port chains.
        vpns: The BGP VPNs.
    """

    networks: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, NamedPort] = field(default_factory=dict)
    servers: Mapping[str, str] = field(default_factory=dict)
    routers: Mapping[str, str] = field(default_factory=dict)
    functions: frozenset[str] = frozenset()
    chains: tuple[chains.Chained, ...] = ()
    vpns: tuple[NamedVpn, ...] = ()


def names_of(connection: Connection) -> Names:
    """The names in a cloud, read as an administrator. Raises openstacksdk's exceptions."""
    api = connection.network
    ports = list(api.ports())
    found = chains.read(connection, ports)
    servers: Iterable[Any] = ()
    if "compute" in offered(connection):
        servers = connection.compute.servers(details=False, all_projects=True)
    return Names(
        networks={network.id: network.name or network.id for network in api.networks()},
        ports={
            port.id: NamedPort(port.name or "", port.device_owner or "", port.device_id or "")
            for port in ports
        },
        servers={server.id: server.name for server in servers},
        routers={router.id: router.name or router.id for router in api.routers()},
        functions=found.functions,
        chains=found.chains,
        vpns=tuple(map(vpn, api.bgpvpns())) if api.find_extension("bgpvpn") else (),
    )


def vpn(made: Any) -> NamedVpn:
    """A VPN as openstacksdk has it, read as `NamedVpn`."""
    both = tuple(made.route_targets or ())
    return NamedVpn(
        made.id,
        made.name,
        made.type,
        imports=(*both, *(made.import_targets or ())),
        exports=(*both, *(made.export_targets or ())),
        # The SDK knows these only from what the API answers.
        members=tuple(
            member
            for kind in ("networks", "routers", "ports")
            for member in getattr(made, kind, None) or ()
        ),
    )
