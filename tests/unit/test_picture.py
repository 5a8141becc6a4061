"""The picture: everything is named and nothing hides anything, as measured in the SVG."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_kollalab.sdn.topology import layout, palette
from pytest_kollalab.sdn.topology.chains import Chained, Classified, traffic
from pytest_kollalab.sdn.topology.ends import ends
from pytest_kollalab.sdn.topology.names import NamedPort, Names, vpn
from pytest_kollalab.sdn.topology.picture import SVG, svg
from pytest_kollalab.sdn.topology.topology import (
    DEVICE,
    FLOW,
    INTERNAL,
    PATCH,
    TUNNEL,
    Bridge,
    BridgePort,
    Identity,
    Topology,
)
from pytest_kollalab.system.errors import HostError, StageError
from pytest_kollalab.system.run import run
from tests.recorded import lab as recorded
from tests.svg import Measured, contrast, crossed, crossings, measured, overlapping

NODES = ("compute-1", "compute-2", "controller-1")


def busy(ports: int, nodes: tuple[str, ...] = NODES) -> Topology:
    """Nodes with four bridges each, a tunnel between any two, and so many ports on each br-int."""
    found = []
    for number, node in enumerate(nodes):
        for n in range(ports):
            known = Identity(f"{node}-{n}", f"net{n % 3}", (f"10.0.{number}.{n}/24",), n % 3)
            space = f"kl-tenant-with-a-long-name-probe-{number}-{n}"
            name = f"tap{number}{n:02}f00-ba"
            found.append(BridgePort(node, "br-int", name, INTERNAL, namespace=space, neutron=known))
        found += [
            BridgePort(node, "br-int", "br-int", INTERNAL),
            BridgePort(node, "br-int", "patch-tun", PATCH, peer="patch-int"),
            BridgePort(node, "br-tun", "patch-int", PATCH, peer="patch-tun"),
            BridgePort(node, "br-int", "int-br-ex", PATCH, peer="phy-br-ex"),
            BridgePort(node, "br-ex", "phy-br-ex", PATCH, peer="int-br-ex"),
            BridgePort(node, "br-ex", "external", DEVICE),
            BridgePort(node, "br-phy", "tun0", DEVICE),
        ]
        found += [
            BridgePort(
                node,
                "br-tun",
                f"vxlan-{far}",
                TUNNEL,
                remote=f"10.9.9.{far}",
                local=f"10.9.9.{number}",
            )
            for far in range(len(nodes))
            if far != number
        ]
    names = ("br-int", "br-tun", "br-ex", "br-phy")
    bridges = {Bridge(node, name) for node in nodes for name in names}
    return Topology(nodes, frozenset(bridges), tuple(found))


@pytest.fixture(scope="module")
def drawn() -> str:
    return svg(recorded.topology(), title="lab", names=recorded.names(), notes=["a note"])


@pytest.fixture(scope="module")
def seen(drawn: str) -> Measured:
    return measured(drawn)


@pytest.fixture(scope="module", params=[1, 25])
def crowd(request: pytest.FixtureRequest) -> Measured:
    return measured(svg(busy(request.param), title="lab"))


def test_nodes_bridges_and_ports_are_named(seen: Measured) -> None:
    topology = recorded.topology()
    assert topology.nodes == ("compute-1", "controller-1", "gateway-1")
    assert set(topology.nodes) <= set(seen.said.splitlines())
    for bridge in topology.bridges:
        named = [text.text for text in seen.rows[f"{bridge.node} {bridge.name}"]]
        ports = {port.name for port in topology.ports_of(bridge.node, bridge.name)}
        assert named[0] == bridge.name
        assert sorted(named[1:]) == sorted(ports - {bridge.name})


def test_probes_servers_functions_hosts_and_dhcp_are_named(seen: Measured) -> None:
    named = {
        ("".join(text.text for text in rows[:-2]) if kind == "server" else rows[0].text, kind)
        for name, rows in seen.rows.items()
        if (kind := seen.kinds[name]) not in ("bridge", "tunnel", "hop", "names")
    }
    assert {
        ("sfc-b805-source", "probe"),
        ("sfc-b805-far", "probe"),
        # Skydive lost its namespace: the API knows it.
        ("vnf-6cf7-source", "probe"),
        ("sfc-b805-firewall", "function"),
        ("sfc-b805-remote", "function"),
        ("vnf-6cf7-archive-2", "data centre host"),
        ("vnf-6cf7-branch", "DHCP"),
    } <= named
    assert "192.168.102.10" in seen.said
    for server, name in recorded.SERVERS.items():
        assert name in seen.said
        assert server in seen.said
        assert f"server {server[:8]}" in seen.said


def test_chains_networks_and_vpns_are_named_with_their_ids(seen: Measured) -> None:
    (chain,), (known,) = recorded.names().chains, recorded.names().vpns
    assert f"{chain.name}" in seen.said
    assert f"chain {chain.id}, both ways" in seen.said
    assert "step 1 of sfc-b805-3fa2" in seen.said
    for network, name in recorded.names().networks.items():
        if recorded.topology().on_network(network):
            assert {network, name} <= set(seen.said.splitlines())
    assert {known.id, known.name} <= set(seen.said.splitlines())
    assert "l3, of vnf-6cf7-branch, targets 64512:4211" in seen.said


def test_no_text_is_over_another(seen: Measured, crowd: Measured) -> None:
    assert not overlapping(seen.texts)
    assert not overlapping(crowd.texts)


def test_a_box_has_room_for_its_texts_and_boxes_are_apart(seen: Measured, crowd: Measured) -> None:
    for picture in (seen, crowd):
        for name, box in picture.vertices.items():
            assert all(box.holds(text.box) for text in picture.rows[name]), name
            others = (other for far, other in picture.vertices.items() if far != name)
            assert not any(box.overlaps(other) for other in others), name


def test_everything_is_inside_the_picture_which_a_window_has_room_for(seen: Measured) -> None:
    assert seen.width <= 1280
    for text in seen.texts:
        assert text.box.left >= 0
        assert text.box.right <= seen.width
        assert text.box.top >= 0
        assert text.box.bottom <= seen.height


def test_no_line_goes_through_a_text(seen: Measured, crowd: Measured) -> None:
    assert not crossed(seen.edges, seen.texts)
    assert not crossed(crowd.edges, crowd.texts)


def test_no_line_of_the_recorded_lab_crosses_another(seen: Measured) -> None:
    assert not crossings(seen.edges)


def test_lines_begin_and_end_at_their_boxes(seen: Measured, crowd: Measured) -> None:
    for picture in (seen, crowd):
        assert picture.edges
        for edge in picture.edges:
            for end, point in ((edge.tail, edge.points[0]), (edge.head, edge.points[-1])):
                name, _ = picture.row(end, point)
                # The head of an arrow takes some pixels.
                assert picture.vertices[name].has(point, slack=12), f"{end} is not at {name}"


def rows(picture: Measured, kind: str) -> set[frozenset[tuple[str, str]]]:
    """The pairs of rows that edges of a kind join."""
    return {
        frozenset((picture.row(edge.tail, edge.points[0]), picture.row(edge.head, edge.points[-1])))
        for edge in picture.edges
        if edge.kind == kind
    }


def test_every_port_is_tied_to_its_bridge(seen: Measured) -> None:
    topology = recorded.topology()
    tied = {row: other for pair in rows(seen, "plug") for row in pair for other in pair - {row}}
    plugged = [port for port in topology.ports if port.namespace or port.neutron]
    assert len(plugged) == len(rows(seen, "plug")) == 19
    for port in plugged:
        known = port.addresses if port.neutron is None else port.neutron.addresses
        other, row = tied[f"{port.node} {port.bridge}", port.name]
        assert row.endswith(known[0].partition("/")[0])
        assert f"on {port.node}; " in other


def test_patches_join_the_bridges_that_they_join(seen: Measured) -> None:
    topology = recorded.topology()
    drawn = {frozenset(name for name, _ in pair) for pair in rows(seen, "patch")}
    assert drawn == {
        frozenset(f"{node} {bridge}" for bridge in pair)
        for node in topology.nodes
        for pair in topology.patches(node)
    }
    ends = {row for pair in rows(seen, "patch") for row in pair}
    assert {
        ("controller-1 br-int", "int-br-ex"),
        ("controller-1 br-ex", "phy-br-ex"),
        ("compute-1 br-tun", "patch-int"),
        ("compute-1 br-mpls", "patch-mpls-to-int"),
    } <= ends


def test_tunnels_go_where_they_go(seen: Measured) -> None:
    def ends_of(tunnel: str) -> set[tuple[str, str]]:
        return {
            row
            for pair in rows(seen, "tunnel")
            for row in pair
            if any(name.startswith(tunnel) for name, _ in pair) and not row[0].startswith(tunnel)
        }

    assert ends_of("tunnel 10.116.3.11 - 10.116.3.12") == {
        ("controller-1 br-tun", "vxlan-0a74030c"),
        ("compute-1 br-tun", "vxlan-0a74030b"),
    }
    assert ends_of("tunnels of br-mpls") == {
        (f"{node}-1 br-mpls", "mpls_gre") for node in ("controller", "compute", "gateway")
    }


def test_a_port_on_the_dead_vlan_is_marked_where_it_is_and_explained() -> None:
    topology = busy(2)
    (dead, *others) = [port for port in topology.ports if port.neutron is not None]
    dead = replace(dead, tag=4095)
    others = [replace(port, tag=3) for port in others]
    rest = [port for port in topology.ports if port.neutron is None]
    picture = svg(replace(topology, ports=(dead, *others, *rest)), title="lab")
    seen = measured(picture)
    in_bridge = [text.text for text in seen.rows[f"{dead.node} br-int"]]
    assert [text for text in in_bridge if "dead" in text] == [f"{dead.name}, dead VLAN"]
    marked = {name for name, rows in seen.rows.items() if rows[-1].text == "dead VLAN 4095"}
    assert dead.neutron is not None
    assert [name.rpartition("; ")[2] for name in marked] == [dead.neutron.port]
    # The line to it, beside those of tunnels.
    before = svg(topology, title="lab").count("stroke-dasharray")
    assert picture.count("stroke-dasharray") == before + 1
    assert picture.count(palette.DEAD) == palette.style().count(palette.DEAD) + 3
    assert "red, dashed: on the dead VLAN 4095. The port is disabled" in picture
    # It is a colour of its own, with one meaning.
    assert palette.DEAD not in {*palette.NETWORKS, *palette.CHAINS}
    assert not overlapping(seen.texts)
    assert not crossed(seen.edges, seen.texts)


def test_a_picture_without_such_ports_says_nothing_of_them(drawn: str) -> None:
    assert "dead VLAN" not in drawn


def test_a_tunnel_to_nowhere_says_where_it_goes() -> None:
    alone = busy(1, ("controller-1",))
    far = BridgePort("controller-1", "br-tun", "vxlan-9", TUNNEL, remote="10.9.9.9", local="x")
    found = measured(svg(replace(alone, ports=(*alone.ports, far)), title="lab"))
    (edge,) = (edge for edge in found.edges if edge.kind == "tunnel")
    assert edge.head.startswith("tunnel to 10.9.9.9")


def test_a_tunnel_that_follows_flows_is_told_as_such_where_it_is_alone() -> None:
    alone = busy(1, ("controller-1",))
    gre = BridgePort("controller-1", "br-ex", "gre", TUNNEL, remote=FLOW, local="x")
    found = measured(svg(replace(alone, ports=(*alone.ports, gre)), title="lab"))
    (edge,) = (edge for edge in found.edges if edge.kind == "tunnel")
    assert edge.head.startswith("tunnels of br-ex: to the node that a flow says")


def test_any_two_nodes_have_a_tunnel(crowd: Measured) -> None:
    tunnels = [edge for edge in crowd.edges if edge.kind == "tunnel"]
    assert len(tunnels) == 6


def test_a_chain_is_an_arrow_for_each_step_and_for_each_function_of_a_group() -> None:
    chain = Chained(
        "an-id",
        "web",
        (Classified("compute-1-0", "10.7.0.0/16", "tcp to 80"),),
        ((("compute-1-1", "compute-1-1"), ("compute-1-2", "compute-1-2")), (("gone", "away"),)),
    )
    names = Names(chains=(chain,), functions=frozenset({"compute-1-1", "compute-1-2"}))
    found = measured(svg(busy(4), title="lab", names=names))
    arrows = [edge for edge in found.edges if edge.kind == "chain"]
    assert len(arrows) == 5
    assert {"tcp to 80", "10.7.0.0/16", "a function that is not", "plugged in"} <= set(
        found.said.splitlines()
    )
    assert not overlapping(found.texts)
    assert not crossed(found.edges, found.texts)


def test_names_are_found_in_the_file(drawn: str) -> None:
    for port in recorded.topology().ports:
        assert port.name in drawn
    for name in (*recorded.SERVERS, recorded.BRANCH, "vnf-6cf7-archive-2"):
        assert name in drawn


def test_texts_are_as_they_are(drawn: str) -> None:
    odd = Names(networks={"net0": 'a <b> & "c"'})
    found = measured(svg(busy(1), title="<&>", names=odd))
    assert 'a <b> & "c", VNI 0' not in found.said
    assert {'a <b> & "c"', "<&>"} <= set(found.said.splitlines())


def test_an_empty_lab_is_a_picture_too() -> None:
    nothing = svg(Topology((), frozenset(), ()), title="none")
    assert ET.fromstring(nothing).tag == f"{{{SVG}}}svg"


def test_a_picture_has_no_id_twice_and_no_colour_that_the_dark_does_not_know(drawn: str) -> None:
    assert not re.findall(r' id="', drawn)
    known = {*palette.DARK, *palette.NETWORKS, *palette.CHAINS, "none"}
    body = drawn.partition("</style>")[2]
    assert set(re.findall(r'(?:fill|stroke)="([^"]*)"', body)) <= known


@pytest.mark.parametrize("dark", [False, True])
def test_every_colour_is_seen_on_what_it_is_on(dark: bool) -> None:
    def of(colour: str) -> str:
        every = {**palette.DARK, **palette.NETWORKS, **palette.CHAINS}
        return every[colour] if dark else colour

    writing = [palette.INK, palette.MUTED, palette.DEAD, *palette.NETWORKS, *palette.CHAINS]
    for ground in (palette.PAPER, palette.NODE):
        assert all(contrast(of(colour), of(ground)) >= 4.5 for colour in writing)
    for colour in (palette.INK, palette.MUTED, palette.DEAD):
        assert contrast(of(colour), of(palette.BRIDGE)) >= 4.5
    assert contrast(of(palette.LINE), of(palette.NODE)) >= 3


def test_paper_is_white_whatever_the_screen_is() -> None:
    assert "@media screen and (prefers-color-scheme: dark)" in palette.style()


def test_without_graphviz_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "DRAW", f"import sys; sys.exit({layout.MISSING})")
    with pytest.raises(HostError, match="pictures need pygraphviz") as caught:
        layout.laid_out(["digraph {}"])
    assert caught.value.hint == "pip install pygraphviz"


def test_what_graphviz_does_not_understand_is_an_error_with_its_words() -> None:
    with pytest.raises(StageError, match="Graphviz could not draw") as caught:
        layout.laid_out(["digraph {"])
    assert caught.value.details


def test_who_owns_a_port_is_told_by_the_api_or_by_its_namespace() -> None:
    port = BridgePort("one", "br-int", "tap1", neutron=Identity("p", "n"))
    here = Topology(("one",), frozenset({Bridge("one", "br-int")}), (port,))

    def owner(names: Names | None = None, **changed: Any) -> tuple[str, str, str]:
        changed_here = replace(here, ports=(replace(port, **changed),))
        (end,) = ends(changed_here, names or Names(), "one")
        return (end.kind, end.name, end.id)

    known = {"p": NamedPort("web-port", "compute:nova", "s")}
    assert owner(Names(ports=known, servers={"s": "web"})) == ("server", "web", "s")
    assert owner(Names(ports=known, servers={"s": "web"}, functions=frozenset({"p"}))) == (
        "function in a server", "web", "s",
    )  # fmt: skip
    assert owner(Names(ports=known)) == ("port", "web-port", "p")
    assert owner() == ("port", "port p", "p")
    dhcp = {"p": NamedPort("", "network:dhcp", "d")}
    assert owner(Names(ports=dhcp, networks={"n": "red"})) == ("DHCP", "red", "n")
    assert owner(namespace="qdhcp-n") == ("DHCP", "n", "n")
    assert owner(Names(routers={"r": "edge"}), namespace="qrouter-r") == ("router", "edge", "r")
    assert owner(namespace="kl-a-source") == ("probe", "a-source", "")
    assert owner(namespace="kl-a-out", neutron=None) == ("probe", "a-out", "")
    assert owner(namespace="kl-a-far", neutron=None, bridge="br-mpls") == (
        "data centre host", "a-far", "",
    )  # fmt: skip


def test_a_server_of_which_one_port_is_a_function_s_is_one_thing() -> None:
    ports = tuple(
        BridgePort("one", "br-int", f"tap{port}", neutron=Identity(port, "n")) for port in "pq"
    )
    here = Topology(("one",), frozenset({Bridge("one", "br-int")}), ports)
    known = {port: NamedPort("", "compute:nova", "s") for port in "pq"}
    named = Names(ports=known, servers={"s": "web"}, functions=frozenset({"q"}))
    (end,) = ends(here, named, "one")
    assert (end.kind, len(end.ports)) == ("function in a server", 2)


def test_traffic_is_from_port_to_port_where_its_prefix_is_a_port() -> None:
    by_address = classifier(logical_source_port="src", destination_ip_prefix="10.0.0.9/32")
    networks = {"src": "n", "dst": "n", "other": "m"}
    known = {("n", "10.0.0.9"): "dst", ("m", "10.0.0.9"): "other"}
    assert traffic(by_address, networks, known) == Classified("src", "dst")
    assert traffic(by_address, networks, {}) == Classified("src", "10.0.0.9/32")
    by_port = classifier(logical_source_port="src", logical_destination_port="far")
    assert traffic(by_port, networks, {}) == Classified("src", "far")
    web = classifier(protocol="tcp", destination_port_range_min=80, destination_port_range_max=81)
    assert traffic(web, {}, {}) == Classified("anything", "anything", "tcp to 80-81")


def classifier(**given: Any) -> SimpleNamespace:
    names = (
        "logical_source_port logical_destination_port source_ip_prefix destination_ip_prefix"
        " protocol source_port_range_min source_port_range_max destination_port_range_min"
        " destination_port_range_max"
    ).split()
    return SimpleNamespace(**{**dict.fromkeys(names), **given})


def test_a_vpn_imports_and_exports_what_it_does_both_with() -> None:
    made = SimpleNamespace(
        id="v", name="vpn", type="l3", route_targets=["1:1"], import_targets=["1:2"],
        export_targets=[], networks=["n"], routers=None, ports=["p"],
    )  # fmt: skip
    read = vpn(made)
    assert (read.imports, read.exports, read.members) == (("1:1", "1:2"), ("1:1",), ("n", "p"))


def test_a_host_without_fonts_draws_the_same(
    drawn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "fonts.conf").write_text("<fontconfig><dir>/nonexistent</dir></fontconfig>")
    bare = partial(run, env={"FONTCONFIG_FILE": str(tmp_path / "fonts.conf")})
    monkeypatch.setattr(layout, "run", bare)
    again = svg(recorded.topology(), title="lab", names=recorded.names(), notes=["a note"])
    assert again == drawn


def test_graphviz_runs_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    assert "<svg" in layout.laid_out(["digraph {}"])[0]
