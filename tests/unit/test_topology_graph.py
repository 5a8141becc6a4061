"""Skydive's graph: what the analyzer answers, read as topology, flows and packets."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pytest_kollalab.features.skydive.graph import SkydiveGraph, parse_flows, parse_frames
from pytest_kollalab.features.skydive.words import within
from pytest_kollalab.sdn.capture.decode import decode
from pytest_kollalab.sdn.topology.topology import (
    INTERNAL,
    PATCH,
    TUNNEL,
    Bridge,
    Identity,
    ObservedFlow,
)
from pytest_kollalab.system.errors import KollalabError

PORT, NETWORK = "0d4f9a4e", "5a0a4b77"


def node(id: str, host: str = "one", **metadata: Any) -> dict[str, Any]:
    return {"ID": id, "Host": host, "Metadata": {"TID": f"tid-{id}", **metadata}}


def edge(kind: str, parent: str, child: str) -> dict[str, Any]:
    return {"Metadata": {"RelationType": kind}, "Parent": parent, "Child": child}


TUNNEL_OPTIONS = {"Options": {"remote_ip": "10.0.0.2", "local_ip": "10.0.0.1"}}
ANSWER = [
    {
        "Nodes": [
            node("h", Name="one", Type="host"),
            node("int", Name="br-int", Type="ovsbridge"),
            node("tun", Name="br-tun", Type="ovsbridge"),
            node("ns", Name="kl-one", Type="netns"),
            node("p1", Name="tap1", Type="ovsport"),
            node(
                "i1",
                Name="tap1",
                Type="internal",
                MAC="fa:16:3e:00:00:01",
                Neutron={
                    "PortID": PORT,
                    "NetworkID": NETWORK,
                    "IPV4": ["10.1.0.5/24"],
                    "VNI": 321,
                },
                Captures=[{"ID": "c", "State": "active"}, {"ID": "d", "State": "error"}],
                PacketInjections=[{"UUID": "j"}],
            ),
            node("p2", Name="patch-tun", Type="ovsport"),
            node("i2", Name="patch-tun", Type="patch", MAC="aa", Ovs={"Options": {"peer": "x"}}),
            node("p3", Name="vxlan-2", Type="ovsport"),
            node("i3", Name="vxlan-2", Type="vxlan", Ovs=TUNNEL_OPTIONS),
            node("p4", Name="lost", Type="ovsport"),
        ],
        "Edges": [
            edge("ownership", "h", "int"),
            edge("ownership", "int", "p1"),
            edge("ownership", "ns", "i1"),
            edge("layer2", "int", "p1"),
            edge("layer2", "p1", "i1"),
            edge("ownership", "int", "p2"),
            edge("layer2", "p2", "i2"),
            edge("ownership", "tun", "p3"),
            edge("layer2", "p3", "i3"),
            edge("ownership", "tun", "p4"),
        ],
    }
]
FLOW = {
    "UUID": "f",
    "NodeTID": "tid-i1",
    "LayersPath": "Ethernet/IPv4/ICMPv4",
    "Network": {"Protocol": "IPV4", "A": "10.1.0.5", "B": "10.1.0.6"},
    "Metric": {"ABPackets": 5, "BAPackets": 4},
}


def frame(ttl: int, kind: int = 8, ethertype: bytes = b"\x08\x00") -> str:
    ip = bytes([0x45, 0, 0, 28, 0, 0, 0, 0, ttl, 1, 0, 0, 10, 1, 0, 5, 10, 1, 0, 6])
    return base64.b64encode(bytes(12) + ethertype + ip + bytes([kind, 0, 0, 0])).decode()


def test_bridges_and_ports_are_found() -> None:
    seen = SkydiveGraph.parse(ANSWER).topology()
    assert seen.nodes == ("one",)
    assert seen.bridges == {Bridge("one", "br-int"), Bridge("one", "br-tun")}
    assert [(p.bridge, p.name, p.kind) for p in seen.ports] == [
        ("br-int", "patch-tun", PATCH),
        ("br-int", "tap1", INTERNAL),
        ("br-tun", "vxlan-2", TUNNEL),
    ]


def test_a_port_is_what_it_is_to_neutron() -> None:
    port = SkydiveGraph.parse(ANSWER).topology().neutron(PORT)
    assert port is not None
    assert (port.namespace, port.mac) == ("kl-one", "fa:16:3e:00:00:01")
    assert port.neutron == Identity(PORT, NETWORK, ("10.1.0.5/24",), 321)


def test_the_tag_of_a_port_is_told_as_a_number_or_as_a_list() -> None:
    for vlans, tag in ((4095, 4095), ([4095], 4095), (2, 2), ([], 0), (None, 0)):
        nodes = [
            {**each, "Metadata": {**each["Metadata"], "Vlans": vlans}}
            if each["ID"] == "p1"
            else each
            for each in ANSWER[0]["Nodes"]
        ]
        port = SkydiveGraph.parse([{**ANSWER[0], "Nodes": nodes}]).topology().neutron(PORT)
        assert port is not None
        assert (port.tag, port.is_dead) == (tag, tag == 4095)


def test_a_device_without_a_link_is_known_by_its_name() -> None:
    part = ANSWER[0]
    moved = node("i4", Name="lost", Type="tuntap", MAC="fa:16:3e:00:00:04")
    elsewhere = node("i5", host="two", Name="lost", Type="veth", MAC="fa:16:3e:00:00:05")
    graph = SkydiveGraph.parse([{**part, "Nodes": [*part["Nodes"], elsewhere, moved]}])
    (port,) = (port for port in graph.topology().ports if port.name == "lost")
    assert (port.node, port.bridge, port.kind) == ("one", "br-tun", INTERNAL)
    assert graph.tid(port) == "tid-i4"


def test_a_device_is_not_what_it_was_before_it_went_into_its_namespace() -> None:
    part = ANSWER[0]
    before = node("i4", Name="lost", Type="internal")
    device = node("i5", Name="lost", Type="tuntap", MAC="fa:16:3e:00:00:04")
    nodes = [*part["Nodes"], before, device]
    edges = [*part["Edges"], edge("layer2", "p4", "i4"), edge("ownership", "ns", "i5")]
    graph = SkydiveGraph.parse([{"Nodes": nodes, "Edges": edges}])
    (port,) = (port for port in graph.topology().ports if port.name == "lost")
    assert (port.namespace, port.mac) == ("kl-one", "fa:16:3e:00:00:04")
    assert graph.tid(port) == "tid-i5"


def test_ends_of_patches_and_tunnels_are_told() -> None:
    ports = {port.name: port for port in SkydiveGraph.parse(ANSWER).topology().ports}
    assert (ports["patch-tun"].peer, ports["patch-tun"].mac) == ("x", "")
    assert (ports["vxlan-2"].remote, ports["vxlan-2"].local) == ("10.0.0.2", "10.0.0.1")


def test_captures_and_injections_are_known_by_the_port() -> None:
    graph = SkydiveGraph.parse(ANSWER)
    port = graph.topology().neutron(PORT)
    assert port is not None
    assert graph.tid(port) == "tid-i1"
    assert graph.captured("c") == {"tid-i1"}
    assert graph.captured("d") == set()
    known = graph.known_of("tid-i1")
    assert all(f'"{word}"' in known for word in ("one", "active", port.mac, port.name))
    assert graph.known_of("tid-none") == "[]"
    assert graph.injections(port) == {"j"}


def test_a_port_that_is_not_there_is_an_error() -> None:
    port = SkydiveGraph.parse(ANSWER).topology().ports[0]
    with pytest.raises(KollalabError, match="does not know patch-tun of br-int on one"):
        SkydiveGraph.parse([]).tid(port)


def test_an_empty_graph_is_an_empty_topology() -> None:
    seen = SkydiveGraph.parse([{"Nodes": None, "Edges": None}]).topology()
    assert (seen.nodes, seen.bridges, seen.ports) == ((), frozenset(), ())


def test_flows_are_told_by_where_they_were_seen() -> None:
    arp = {**FLOW, "UUID": "g", "LayersPath": "Ethernet/ARP", "Network": None}
    assert parse_flows([FLOW, arp]) == {
        "tid-i1": [ObservedFlow("icmp", "10.1.0.5", "10.1.0.6", 5, 4)]
    }


def test_packets_are_read_from_their_bytes() -> None:
    raw = [
        {"Timestamp": 2000, "Data": frame(63)},
        {"Timestamp": 1000, "Data": frame(64, kind=0)},
        {"Timestamp": 3000, "Data": frame(64, ethertype=b"\x08\x06")},
        {"Timestamp": 3000, "Data": ""},
    ]
    (frames,) = parse_frames([FLOW], [{"f": raw}]).values()
    seen = [packet for packet in map(decode, frames) if packet.is_ipv4]
    assert [(p.time, p.src, p.dst, p.ttl, p.is_echo_request) for p in seen] == [
        (1.0, "10.1.0.5", "10.1.0.6", 64, False),
        (2.0, "10.1.0.5", "10.1.0.6", 63, True),
    ]


def test_a_predicate_quotes_its_values() -> None:
    assert within(["a", "b"]) == "Within('a', 'b')"
