"""The topology: links, paths and differences."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_kollalab.sdn.capture.packets import Packet
from pytest_kollalab.sdn.topology.topology import (
    FLOW,
    INTERNAL,
    PATCH,
    TUNNEL,
    Bridge,
    BridgePort,
    Identity,
    ObservedFlow,
    Topology,
    differences,
    flows,
    hops,
)

TAP = BridgePort(
    "one", "br-int", "tap1", INTERNAL, mac="m", neutron=Identity("p", "n", ("10.0.0.1/24",))
)
FAR = BridgePort("two", "br-int", "tap2", INTERNAL)
LAB = Topology(
    ("one", "two"),
    frozenset({Bridge("one", "br-int"), Bridge("one", "br-tun"), Bridge("two", "br-tun")}),
    (
        TAP,
        BridgePort("one", "br-int", "patch-tun", PATCH, peer="patch-int"),
        BridgePort("one", "br-tun", "patch-int", PATCH, peer="patch-tun"),
        BridgePort("one", "br-tun", "vxlan-2", TUNNEL, remote="10.0.0.2", local="10.0.0.1"),
        BridgePort("two", "br-tun", "vxlan-1", TUNNEL, remote="10.0.0.1", local="10.0.0.2"),
    ),
)


def packet(time: float, src: str, dst: str, ttl: int = 64) -> Packet:
    return Packet(time, "", "", 0x0800, 98, src, dst, "icmp", ttl)


def request(time: float, ttl: int, src: str = "a", dst: str = "b") -> Packet:
    return replace(packet(time, src, dst, ttl), icmp=(8, 0))


def test_patches_and_tunnels_are_links_once() -> None:
    assert sorted(link.kind for link in LAB.links()) == [PATCH, TUNNEL]
    assert LAB.patches("one") == {frozenset({"br-int", "br-tun"})}
    assert LAB.patches("two") == set()


def test_a_tunnel_is_a_link_to_the_node_that_has_its_remote_address() -> None:
    def tunnels(**changed: Any) -> list[tuple[str, str]]:
        ports = [replace(port, **(changed if port.node == "two" else {})) for port in LAB.ports]
        found = replace(LAB, ports=tuple(ports)).links()
        return [(link.a.node, link.b.node) for link in found if link.kind == TUNNEL]

    assert tunnels() == [("one", "two")]
    assert not tunnels(local="10.0.0.3")
    assert not tunnels(remote="10.0.0.3")
    assert not tunnels(remote=FLOW, local="")


def test_tunnels_that_send_where_a_flow_says_are_links_of_all_their_nodes() -> None:
    nodes = ("one", "two", "three")
    ports = tuple(BridgePort(node, "br-mpls", "gre", TUNNEL, remote=FLOW) for node in nodes)
    found = Topology(nodes, frozenset(Bridge(node, "br-mpls") for node in nodes), ports).links()
    assert {frozenset((link.a.node, link.b.node)) for link in found} == {
        frozenset(("one", "two")), frozenset(("one", "three")), frozenset(("two", "three")),
    }  # fmt: skip


def test_a_patch_without_its_other_end_is_no_link() -> None:
    ports = tuple(port for port in LAB.ports if port.name != "patch-int")
    assert not replace(LAB, ports=ports).patches("one")


def test_hops_are_in_the_order_of_ttl_then_time() -> None:
    seen = {
        FAR: [request(3.0, 63), request(4.0, 63)],
        TAP: [request(1.0, 64), packet(1.1, "b", "a"), request(2.0, 64)],
        replace(FAR, name="other", mac="z"): [request(0.5, 63, "x", "b")],
        replace(FAR, name="later", mac="z"): [request(9.0, 64)],
    }
    found = hops(seen, "a", "b")
    assert [(hop.port.name, hop.packets, hop.ttl) for hop in found] == [
        ("tap1", 2, 64),
        ("later", 1, 64),
        ("tap2", 2, 63),
    ]


def test_of_two_ports_with_one_ttl_the_sender_is_first() -> None:
    seen = {
        replace(FAR, mac="b"): [replace(request(1.0, 64), src_mac="m")],
        TAP: [replace(request(1.0, 64), src_mac="m")],
    }
    assert [hop.port.name for hop in hops(seen, "a", "b")] == ["tap1", "tap2"]


def test_packets_add_up_to_flows_of_two_ways() -> None:
    packets = [packet(1, "a", "b"), packet(2, "b", "a"), packet(3, "a", "b")]
    (flow,) = flows(packets, "icmp")
    assert flow == ObservedFlow("icmp", "a", "b", 2, 1)
    assert flow.between("b", "a") == (1, 2)
    assert flow.between("a", "c") == (0, 0)


def test_equal_topologies_do_not_differ() -> None:
    shuffled = Topology(LAB.nodes, LAB.bridges, LAB.ports[::-1])
    assert differences(LAB, shuffled) == []


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (replace(TAP, mac="other"), "mac"),
        (replace(TAP, namespace="elsewhere"), "namespace"),
        (replace(TAP, neutron=None), "identity"),
        (replace(TAP, neutron=Identity("p", "m", ("10.0.0.1/24",))), "identity"),
        (replace(TAP, neutron=Identity("p", "n", ())), "addresses"),
    ],
)
def test_a_difference_has_a_name(changed: BridgePort, name: str) -> None:
    other = replace(LAB, ports=(changed, *LAB.ports[1:]))
    (found,) = differences(LAB, other)
    assert found.name == name
    assert "tap1 of br-int on one" in str(found)


def test_what_only_one_side_has_is_a_difference() -> None:
    other = Topology(("one",), LAB.bridges - {Bridge("one", "br-int")}, LAB.ports[1:])
    assert [found.name for found in differences(LAB, other)] == ["node", "bridge", "port"]
    assert all(found.one == "there" and not found.other for found in differences(LAB, other))
