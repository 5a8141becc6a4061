"""The local collector: what nodes print, read as a topology."""

from __future__ import annotations

import json
from typing import Any

from pytest_kollalab.sdn.topology.local import (
    join,
    listed,
    ovn_networks,
    parse,
    parse_table,
    with_networks,
)
from pytest_kollalab.sdn.topology.topology import DEVICE, INTERNAL, PATCH, TUNNEL, Bridge, Identity

PORT = "0d4f9a4e-7e53-4a0e-8f4c-1b1f4f2d7c11"
NETWORK = "5a0a4b77-1d6b-4f9d-9d3c-0d0f5c8a9e21"


def table(*rows: dict[str, Any]) -> str:
    """A table as `ovs-vsctl --format=json list` prints it."""
    headings = list(rows[0])
    return json.dumps({"headings": headings, "data": [[row[h] for h in headings] for row in rows]})


def uuid(number: int) -> list[str]:
    return ["uuid", f"00000000-0000-0000-0000-{number:012}"]


def interface(
    number: int, name: str, kind: str, options: Any = (), ids: Any = ()
) -> dict[str, Any]:
    return {
        "_uuid": uuid(number),
        "name": name,
        "type": kind,
        "options": ["map", list(options)],
        "external_ids": ["map", list(ids)],
    }


def port(number: int, name: str, interface: int, noted: Any = ()) -> dict[str, Any]:
    return {
        "_uuid": uuid(number),
        "name": name,
        "interfaces": uuid(interface),
        "other_config": ["map", list(noted)],
    }


TUNNEL_OPTIONS = [["remote_ip", "10.0.0.2"], ["local_ip", "10.0.0.1"]]
PLAIN_PORTS = (
    port(12, "patch-tun", 22),
    port(13, "patch-int", 23),
    port(14, "vxlan-0a000002", 24),
    port(15, "external", 25),
)
NOTED = [["net_uuid", NETWORK], ["segmentation_id", "321"], ["tag", "2"]]
TEXT = "\n".join(
    [
        "Bridge\t"
        + table(
            {"name": "br-int", "ports": ["set", [uuid(11), uuid(12)]]},
            {"name": "br-tun", "ports": ["set", [uuid(13), uuid(14)]]},
            {"name": "br-ex", "ports": uuid(15)},
        ),
        "Port\t" + table(port(11, "tap0d4f9a4e-7e", 21, NOTED), *PLAIN_PORTS),
        "Interface\t"
        + table(
            interface(21, "tap0d4f9a4e-7e", "internal", ids=[["iface-id", PORT]]),
            interface(22, "patch-tun", "patch", [["peer", "patch-int"]]),
            interface(23, "patch-int", "patch", [["peer", "patch-tun"]]),
            interface(24, "vxlan-0a000002", "vxlan", TUNNEL_OPTIONS),
            interface(25, "external", ""),
        ),
        "devices \t" + json.dumps([{"ifname": "external", "address": "02:00:00:00:00:01"}, {}]),
        "devices kl-one\t"
        + json.dumps(
            [
                {
                    "ifname": "tap0d4f9a4e-7e",
                    "address": "fa:16:3e:00:00:01",
                    "addr_info": [
                        {"family": "inet", "local": "10.1.0.5", "prefixlen": 24, "scope": "global"},
                        {
                            "family": "inet",
                            "local": "169.254.169.254",
                            "prefixlen": 32,
                            "scope": "global",
                        },
                        {"family": "inet6", "local": "fe80::1", "prefixlen": 64, "scope": "link"},
                    ],
                }
            ]
        ),
        "",
    ]
)


def test_every_bridge_and_port_is_read() -> None:
    found = parse("one", TEXT)
    assert found.nodes == ("one",)
    assert found.bridges == {Bridge("one", name) for name in ("br-int", "br-tun", "br-ex")}
    assert {(p.bridge, p.name, p.kind) for p in found.ports} == {
        ("br-int", "tap0d4f9a4e-7e", INTERNAL),
        ("br-int", "patch-tun", PATCH),
        ("br-tun", "patch-int", PATCH),
        ("br-tun", "vxlan-0a000002", TUNNEL),
        ("br-ex", "external", DEVICE),
    }


def test_a_port_of_neutron_is_known_by_what_is_on_the_node() -> None:
    seen = parse("one", TEXT).neutron(PORT)
    assert seen is not None
    assert seen.namespace == "kl-one"
    assert seen.mac == "fa:16:3e:00:00:01"
    assert seen.neutron == Identity(PORT, NETWORK, ("10.1.0.5/24",), 321)


def test_the_tag_of_a_port_is_read_and_4095_is_the_dead_vlan() -> None:
    for tag, is_dead in ((4095, True), (2, False), (["set", []], False)):
        text = TEXT.replace(
            table(port(11, "tap0d4f9a4e-7e", 21, NOTED), *PLAIN_PORTS),
            table(
                {**port(11, "tap0d4f9a4e-7e", 21, NOTED), "tag": tag},
                *({**each, "tag": ["set", []]} for each in PLAIN_PORTS),
            ),
        )
        seen = parse("one", text).neutron(PORT)
        assert seen is not None
        assert seen.tag == (tag if isinstance(tag, int) else 0)
        assert seen.is_dead is is_dead
        # Of an Open vSwitch that tells nothing of tags.
        assert not any(each.tag for each in parse("one", TEXT).ports)


def test_ends_of_patches_and_tunnels_have_no_mac_of_their_own() -> None:
    ports = {p.name: p for p in parse("one", TEXT).ports}
    assert ports["patch-tun"].peer == "patch-int"
    assert ports["vxlan-0a000002"].remote == "10.0.0.2"
    assert ports["vxlan-0a000002"].local == "10.0.0.1"
    assert ports["patch-tun"].mac == ports["vxlan-0a000002"].mac == ""
    assert ports["external"].mac == "02:00:00:00:00:01"


def test_nodes_are_joined() -> None:
    swapped = TEXT.replace("10.0.0.2", "@").replace("10.0.0.1", "10.0.0.2").replace("@", "10.0.0.1")
    both = join([parse("one", TEXT), parse("two", swapped)])
    assert both.nodes == ("one", "two")
    assert len(both.ports) == 10
    assert {link.kind for link in both.links()} == {PATCH, TUNNEL}


def test_values_of_open_vswitch_are_made_plain() -> None:
    (row,) = parse_table(
        {
            "headings": ["one", "none", "map", "id"],
            "data": [["x", ["set", []], ["map", [["a", "b"]]], ["uuid", "u"]]],
        }
    )
    assert row == {"one": "x", "none": [], "map": {"a": "b"}, "id": "u"}
    assert listed("x") == ["x"]
    assert listed([]) == []


OVN = "\n".join(
    [
        "Bridge\t" + table({"name": "br-int", "ports": uuid(11)}),
        "Port\t" + table(port(11, "tap0d4f9a4e-7e", 21)),
        "Interface\t"
        + table(interface(21, "tap0d4f9a4e-7e", "internal", ids=[["iface-id", PORT]])),
        "Port_Binding\t"
        + table(
            {"logical_port": PORT, "datapath": uuid(31)},
            {"logical_port": "lrp-1", "datapath": uuid(32)},
        ),
        "Datapath_Binding\t"
        + table(
            {"_uuid": uuid(31), "external_ids": ["map", [["name", f"neutron-{NETWORK}"]]]},
            {"_uuid": uuid(32), "external_ids": ["map", []]},
        ),
    ]
)


def test_ovns_database_tells_the_networks_of_ports() -> None:
    assert ovn_networks(OVN) == {PORT: NETWORK}
    here = parse("one", OVN)
    (before,) = here.ports
    assert before.neutron == Identity(PORT, "")
    (after,) = with_networks(here, ovn_networks(OVN)).ports
    assert after.neutron == Identity(PORT, NETWORK)
    assert with_networks(here, {}) == here


def test_what_a_node_tells_of_a_network_counts() -> None:
    assert ovn_networks(TEXT) == {}
    here = parse("one", TEXT)
    assert with_networks(here, {PORT: "another"}) == here
