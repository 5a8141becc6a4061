"""Skydive knows the lab: its nodes, bridges, patches and tunnels, as they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.topology.topology import TUNNEL, differences

if TYPE_CHECKING:
    from pytest_kollalab.features.skydive.words import Skydive
    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.topology.local import Local

NODES = ("controller-1", "compute-1")
# The bridges that agents connect to br-int, on nodes that have them.
JOINED = ("br-tun", "br-ex", "br-mpls")

every_node = pytest.mark.parametrize("node", NODES)


@pytest.fixture(scope="module")
def probes(tenant: Tenant) -> tuple[Probe, Probe]:
    """Two probes on two nodes: without traffic between nodes there is no tunnel."""
    network = tenant.network("seen", dhcp=False)
    here = tenant.probe(network, "controller-1", name="here")
    there = tenant.probe(network, "compute-1", name="there")
    here.reaches(there)
    return here, there


@pytest.mark.kollalab_smoke
def test_every_node_is_there_and_has_an_agent(skydive: Skydive) -> None:
    assert skydive.agents() == set(NODES)
    assert set(skydive.topology().nodes) == set(NODES)


@every_node
def test_every_bridge_is_seen(
    skydive: Skydive, lab_nodes: Mapping[str, Node], tunnel_bridge: str, node: str
) -> None:
    listed = lab_nodes[node].host.check_output("docker exec openvswitch_vswitchd ovs-vsctl list-br")
    assert skydive.topology().bridges_of(node) == set(listed.split()) >= {"br-int", tunnel_bridge}


# OVN makes patches only where a port needs them.
@pytest.mark.kollalab_backend("ovs")
@every_node
def test_patches_join_the_bridges(skydive: Skydive, node: str) -> None:
    seen = skydive.topology()
    patches = seen.patches(node)
    assert {"br-int", "br-tun"} in patches
    if node == "controller-1":
        assert {"br-int", "br-ex"} in patches
    # Every patch has its other end, and joins bridges that are there.
    ends = [port for port in seen.ports_of(node) if port.kind == "patch"]
    assert len(ends) == 2 * sum(
        link.a.node == node for link in seen.links() if link.kind == "patch"
    )
    assert {bridge for pair in patches for bridge in pair} <= seen.bridges_of(node)


def test_a_tunnel_joins_the_nodes(
    skydive: Skydive,
    lab_nodes: Mapping[str, Node],
    tunnel_bridge: str,
    probes: tuple[Probe, Probe],
) -> None:
    links = skydive.topology().links()
    # Features have tunnels of their own on other bridges.
    (tunnel,) = [link for link in links if link.kind == TUNNEL and link.a.bridge == tunnel_bridge]
    for near, far in ((tunnel.a, tunnel.b), (tunnel.b, tunnel.a)):
        assert near.bridge == tunnel_bridge
        assert near.remote == lab_nodes[far.node].addresses["tunnel"]


def test_skydive_and_the_nodes_say_the_same(
    skydive: Skydive, local_view: Local, probes: tuple[Probe, Probe]
) -> None:
    for probe in probes:
        assert skydive.topology().neutron(probe.ports[0].id)
    found = differences(skydive.topology(), local_view.topology())
    assert not found, "\n".join(map(str, found))
