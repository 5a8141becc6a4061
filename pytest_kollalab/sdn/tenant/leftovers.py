"""Removes what is left in a project, in the order that the API requires."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn.services import offered
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from openstack.connection import Connection
    from openstack.network.v2._proxy import Proxy

# The device of a port that only reserves an address on the external network.
OUTSIDE = "kollalab-outside"
SFC = (
    "sfc_service_graphs",
    "sfc_port_chains",
    "sfc_port_pair_groups",
    "sfc_port_pairs",
    "sfc_flow_classifiers",
)


def sweep(cloud: Connection, project: str) -> list[str]:
    """Remove all resources of a project.

    Chains are removed before their ports, because the agent needs the ports to clean up a chain.

    Args:
        cloud: An administrator's connection.
        project: The id of the project.

    Returns:
        One line for each resource that could not be removed, with the reason.
    """
    from openstack import exceptions

    failures: list[str] = []

    def each(kind: str, things: Iterable[Any], remove: Callable[[Any], object]) -> None:
        for thing in things:
            try:
                remove(thing)
            except exceptions.NotFoundException:
                pass
            except exceptions.SDKException as error:
                failures.append(f"{kind} {thing.name or thing.id}: {error}")

    network = cloud.network
    if "compute" in offered(cloud):
        _remove_servers(cloud, project)
    each("floating IP", network.ips(project_id=project), network.delete_ip)
    if network.find_extension("bgpvpn") is not None:
        each("BGP VPN", bgpvpns(network, project), network.delete_bgpvpn)
    if network.find_extension("sfc") is not None:
        for kind in SFC:
            things = list(getattr(network, kind)(project_id=project))
            each(kind, things, getattr(network, f"delete_{kind.removesuffix('s')}"))
    for router in network.routers(project_id=project):
        ports = network.ports(device_id=router.id, device_owner="network:router_interface")
        each("router interface", ports, partial(_leave, network, router))
        each("router", [router], network.delete_router)
    mine = network.ports(project_id=project)
    plain = [
        port
        for port in mine
        if port.device_id == OUTSIDE or not (port.device_owner or "").startswith("network:")
    ]
    each("port", plain, network.delete_port)
    each("network", network.networks(project_id=project), network.delete_network)
    groups = network.security_groups(project_id=project)
    each(
        "security group", (g for g in groups if g.name != "default"), network.delete_security_group
    )
    return failures


def bgpvpns(network: Proxy, project: str) -> list[Any]:
    """The BGP VPNs of a project, of all that there are.

    networking-bgpvpn declares no filters, and Neutron 29 refuses those that are not declared.
    """
    return [vpn for vpn in network.bgpvpns() if vpn.project_id == project]


def _remove_servers(cloud: Connection, project: str) -> None:
    def servers() -> list[Any]:
        return list(cloud.compute.servers(all_projects=True, project_id=project))

    for server in servers():
        cloud.compute.delete_server(server, ignore_missing=True)

    def look() -> bool | NotYet:
        left = servers()
        return not left or NotYet(", ".join(f"{s.name} is {s.status}" for s in left))

    wait.until("the servers of the project to be gone", look, timeout=180)


def _leave(network: Any, router: Any, port: Any) -> None:
    network.remove_interface_from_router(router, port=port)
