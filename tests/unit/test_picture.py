"""The picture: nothing hides anything, and everything is named."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import combinations
from types import SimpleNamespace

from pytest_kollalab.sdn.topology.chains import ports as chain_ports
from pytest_kollalab.sdn.topology.picture import SVG, Box, DrawnChain, place, svg
from pytest_kollalab.sdn.topology.topology import (
    DEVICE,
    INTERNAL,
    PATCH,
    TUNNEL,
    Bridge,
    BridgePort,
    Identity,
    Topology,
)

NODES = ("compute-1", "controller-1")


def lab(ports: int) -> Topology:
    """Two nodes with three bridges each, and so many ports on each br-int."""
    found = []
    for number, node in enumerate(NODES):
        for n in range(ports):
            known = Identity(f"{node}-{n}", f"net{n % 3}", (f"10.0.{number}.{n}/24",), n % 3)
            found.append(BridgePort(node, "br-int", f"tap{number}{n:02}", INTERNAL, neutron=known))
        found += [
            BridgePort(node, "br-int", "br-int", INTERNAL),
            BridgePort(node, "br-int", "patch-tun", PATCH, peer="patch-int"),
            BridgePort(node, "br-tun", "patch-int", PATCH, peer="patch-tun"),
            BridgePort(node, "br-int", "int-br-ex", PATCH, peer="phy-br-ex"),
            BridgePort(node, "br-ex", "phy-br-ex", PATCH, peer="int-br-ex"),
            BridgePort(node, "br-ex", "external", DEVICE),
            BridgePort(node, "br-tun", f"vxlan-{number}", TUNNEL, remote=f"10.9.9.{number}"),
        ]
    bridges = {Bridge(node, name) for node in NODES for name in ("br-int", "br-tun", "br-ex")}
    return Topology(NODES, frozenset(bridges), tuple(found))


def test_nothing_hides_anything() -> None:
    layout = place(lab(20))
    solid = [*layout.bridges.values(), *layout.ports.values()]
    assert len(solid) == 6 + 40 + 2
    assert not [pair for pair in combinations(solid, 2) if pair[0].overlaps(pair[1])]
    one, other = layout.nodes.values()
    assert not one.overlaps(other)


def test_everything_is_inside_its_node_and_the_picture() -> None:
    layout = place(lab(20))
    for port, box in layout.ports.items():
        node = layout.nodes[port.node]
        assert box.inside(node)
        assert box.inside(Box(0, 0, layout.width, layout.height))


def test_the_controller_is_on_the_left() -> None:
    layout = place(lab(1))
    assert layout.nodes["controller-1"].x < layout.nodes["compute-1"].x


def test_every_port_bridge_tunnel_and_network_is_named() -> None:
    drawn = svg(lab(3), title="lab", networks={"net0": "red & blue"})
    root = ET.fromstring(drawn)
    texts = [element.text or "" for element in root.iter(f"{{{SVG}}}text")]
    assert {"controller-1", "compute-1", "br-int", "br-tun", "br-ex", "tunnel"} <= set(texts)
    assert {"tap000", "tap101", "external", "patch-tun / patch-int"} <= set(texts)
    assert {"10.0.0.1", "10.0.1.2"} <= set(texts)
    assert "network red & blue: 2 ports" in texts
    assert "network net1, VNI 1: 2 ports" in texts
    assert len(root.findall(".//*[@class='tunnel']")) == 1
    assert len(root.findall(".//*[@class='patch']")) == 4


def test_a_chain_is_an_arrow_for_each_step() -> None:
    chain = DrawnChain("c", ("compute-1-0", "compute-1-1", "controller-1-2", "gone"))
    root = ET.fromstring(svg(lab(3), title="lab", chains=[chain]))
    assert len(root.findall(".//*[@class='chain']")) == 2
    assert root.find(".//*[@id='arrow0']") is not None
    assert any((e.text or "") == "chain c" for e in root.iter(f"{{{SVG}}}text"))


def test_an_empty_lab_is_a_picture_too() -> None:
    assert ET.fromstring(svg(Topology((), frozenset(), ()), title="none")).tag == f"{{{SVG}}}svg"


def test_a_chain_goes_from_its_source_through_its_pairs_to_its_target() -> None:
    by_address = SimpleNamespace(
        logical_source_port="src",
        logical_destination_port=None,
        destination_ip_prefix="10.0.0.9/32",
    )
    pairs = [("in1", "out1"), ("in2", "out2")]
    known = {"10.0.0.9": "dst"}
    assert chain_ports(by_address, pairs, known) == ("src", "in1", "out1", "in2", "out2", "dst")
    assert chain_ports(by_address, pairs, {}) == ("src", "in1", "out1", "in2", "out2")
    by_port = SimpleNamespace(
        logical_source_port="src", logical_destination_port="far", destination_ip_prefix=None
    )
    assert chain_ports(by_port, [], {}) == ("src", "far")
