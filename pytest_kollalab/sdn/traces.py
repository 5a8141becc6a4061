"""Traces: what scenarios make in a lab, as a set that can be compared before and after."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pytest_kollalab import wait
from pytest_kollalab.sdn.flows import bridge_flows, bridge_groups
from pytest_kollalab.sdn.leftovers import SFC
from pytest_kollalab.wait import NotYet

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.ssh import Ssh

# The way out to the external network is made by the first tenant that wants it, and stays.
KEPT = ("network external",)
# A BGP speaker makes it, and a flow for it, when it is first told of a VPN.
TUNNEL = "mpls_gre"


def take(cloud: Connection, ssh: Ssh, nodes: Iterable[str]) -> frozenset[str]:
    """What scenarios made and is there now: API objects, namespaces, devices, flows, groups."""
    return frozenset([*_objects(cloud), *(trace for node in nodes for trace in _on(ssh, node))])


def await_none_left(
    before: frozenset[str],
    cloud: Connection,
    ssh: Ssh,
    nodes: Iterable[str],
    *,
    timeout: float = 60,
) -> None:
    """Wait until nothing is there that was not there before; agents need a moment.

    Raises WaitError with what is left.
    """
    names = tuple(nodes)

    def look() -> bool | NotYet:
        left = take(cloud, ssh, names) - before
        return not left or NotYet("\n".join(sorted(left)))

    wait.until("nothing of the scenario to be left", look, timeout=timeout, interval=1)


def _objects(cloud: Connection) -> Iterable[str]:
    network = cloud.network
    kinds = ["ports", "networks", "routers", "ips"]
    if network.find_extension("bgpvpn") is not None:
        kinds.append("bgpvpns")
    if network.find_extension("sfc") is not None:
        kinds += SFC
    for kind in kinds:
        for thing in getattr(network, kind)():
            trace = f"{kind.removesuffix('s')} {thing.name or thing.id}"
            if trace not in KEPT:
                yield trace
    identity: Any = cloud.identity
    for project in identity.projects():
        yield f"project {project.name}"
    if cloud.has_service("compute"):
        for server in cloud.compute.servers(all_projects=True):
            yield f"server {server.name}"


def _on(ssh: Ssh, node: str) -> Iterable[str]:
    listed = ssh.run(node, ["ip", "netns", "list"]).stdout
    for line in listed.splitlines():
        yield f"{node}: namespace {line.split()[0]}"
    argv = ["docker", "exec", "openvswitch_vswitchd", "ovs-vsctl"]
    there = ssh.run(node, [*argv, "list-br"]).stdout.split()
    # That of MPLS only where something speaks BGP: elsewhere nothing is in it.
    bridges = [name for name in ("br-int", "br-ex", "br-mpls") if name in there]
    for bridge in bridges:
        for device in ssh.run(node, [*argv, "list-ports", bridge]).stdout.split():
            if device != TUNNEL:
                yield f"{node}: port {device} of {bridge}"
    for bridge in (name for name in bridges if name != "br-ex"):
        for flow in bridge_flows(ssh, node, bridge):
            if flow.match.get("in_port") != TUNNEL:
                yield f"{node}: flow of {bridge} {flow.rule}"
        for group in bridge_groups(ssh, node, bridge).values():
            yield f"{node}: group {group.id} {group.type} of {bridge}"
