"""OVN's words, on what OVN 25.03 of Debian said: two chassis, two switches, a router, an ACL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.sdn import figures
from pytest_kollalab.sdn.capture.packets import Arp, Packet
from pytest_kollalab.sdn.ovn import headers
from pytest_kollalab.sdn.ovn.conntrack import parse_connections, parse_zones
from pytest_kollalab.sdn.ovn.logical import LogicalTrace, parse_trace
from pytest_kollalab.sdn.ovn.physical import SwitchTrace, parse_explained
from pytest_kollalab.sdn.ovn.words import Ovn, compared
from pytest_kollalab.system.errors import CommandError, KollalabError, WaitError

HERE = Path(__file__).parents[1] / "recorded" / "ovn"
PORT_A = "aaaaaaaa-0000-4000-8000-00000000000a"
DEVICE = "tapaaaaaaaa-00"
PORT_B = "bbbbbbbb-0000-4000-8000-00000000000b"
PORT_C = "cccccccc-0000-4000-8000-00000000000c"
DATA, ROUTER, OTHER, EXTERNAL = (
    "cfc7c66f-3a43-43b0-9fa6-7d5d76a30b52",
    "c2bb01b4-1098-4545-9d18-7b16fab3c91f",
    "b76ede98-09a1-4e6b-9800-a2c6810667af",
    "ac408f1c-5774-4fca-9da3-c31f9e758a72",
)
SYN = Packet(
    0.0, "fa:16:3e:00:00:0a", "fa:16:3e:00:00:0b", 0x0800, 74, "10.9.1.10", "10.9.1.11", "tcp", 64,
    sport=40000, dport=80, flags=2,
)  # fmt: skip
PING = replace(SYN, protocol="icmp", sport=None, dport=None, icmp=(8, 0), ident=1)

ASKED = Arp(1, "10.9.1.10", SYN.src_mac, "10.9.1.11")
ARP = Packet(0.0, SYN.src_mac, SYN.dst_mac, 0x0806, 42, arp=ASKED)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the figures; those of these tests are not the session's."""
    names: list[str] = []
    monkeypatch.setattr(figures, "record", lambda name, _: names.append(name))
    return names


def recorded(name: str) -> str:
    return (HERE / f"{name}.txt").read_text(encoding="utf-8")


def trace(name: str) -> LogicalTrace:
    return parse_trace(recorded(f"trace-{name}"))


def test_what_is_allowed_leaves_by_the_port_of_the_other() -> None:
    found = trace("allowed")
    assert found
    assert found.ports == (PORT_B,)
    assert found.datapaths == (DATA,)
    assert found.flow.startswith("tcp,reg14=0x1")
    (rule,) = found.at("ls_out_acl_eval")
    assert (rule.pipeline, rule.table, rule.priority, rule.uuid) == ("egress", 6, 2002, "63fc1910")
    assert rule.match == "reg0[7] == 1 && (outport == @pg_web && ip4 && tcp.dst == 80)"
    assert rule.actions == ("reg8[16] = 1", "reg0[1] = 1", "next")
    assert found.steps[-1].outputs == ((PORT_B, ""),)
    assert found.steps[-1].actions == ("output",)


def test_what_is_refused_says_where_it_ends() -> None:
    found = trace("refused")
    assert not found
    assert found.ports == ()
    assert found.verdict == f"it is dropped in ls_out_acl_action of {DATA}"
    assert str(found).endswith(found.verdict)
    assert found.at("ls_out_acl_eval")[0].priority == 2001


def test_a_way_through_a_router_has_the_datapaths_in_order() -> None:
    found = trace("routed")
    assert found.datapaths == (DATA, ROUTER, OTHER)
    # Ports between the datapaths are no way out.
    assert found.ports == (PORT_C,)
    assert not found.does("ct_snat")
    assert {step.pipeline for step in found.steps} == {"ingress", "egress"}


def test_source_nat_and_a_way_out_are_seen() -> None:
    found = trace("snat")
    assert found.does("ct_snat(203.0.113.10)")
    assert found.ports == ("provnet-1",)
    assert set(found.datapaths) == {DATA, ROUTER, EXTERNAL}
    (nat,) = found.at("lr_out_snat")
    assert "ip4.src == 10.9.1.0/24" in nat.match


def test_an_expired_packet_is_answered_to_its_sender() -> None:
    found = trace("ttl")
    assert found.ports == (PORT_A,)
    assert found.datapaths == (DATA, ROUTER, DATA)
    assert found.does("icmp4 {")


def test_a_balanced_connection_goes_where_the_choice_says() -> None:
    assert trace("balanced").ports == (PORT_C,)


def test_what_nobody_has_is_dropped_where_it_is_looked_up() -> None:
    assert trace("nowhere").verdict == f"it is dropped in ls_in_l2_unknown of {DATA}"


def test_nothing_is_no_trace() -> None:
    found = parse_trace('unknown datapath "neutron-nothing"\n')
    assert not found
    assert (found.steps, found.flow, found.datapaths) == ((), "", ())
    assert found.verdict == "it meets no logical flow"


def explained(name: str = "explained") -> SwitchTrace:
    return parse_explained("controller-1", recorded(name), DEVICE)


def test_each_flow_of_a_switch_has_what_is_behind_it() -> None:
    found = explained()
    first, last = found.steps[0], found.at("ls_in_l2_lkup")[0]
    assert (first.table, first.priority, first.cookie) == (0, 100, "0xced71a69")
    assert (first.port, first.chassis, first.interface) == (PORT_A, "controller-1", DEVICE)
    assert first.actions[-1] == "resubmit(,8)"
    assert last.logical_match == "eth.dst == fa:16:3e:00:00:0b"
    assert last.match == "metadata=0x1,dl_dst=fa:16:3e:00:00:0b"
    assert last.datapaths == ("neutron-11111111-1111-4111-8111-111111111111",)
    # What follows connection tracking belongs to it.
    assert found.stages.index("ls_in_pre_stateful") < found.stages.index("ls_in_l2_lkup")


def test_a_table_without_a_flow_and_one_that_matches_all() -> None:
    by_table = {step.table: step for step in explained().steps}
    assert by_table[73].priority is None
    assert (by_table[40].priority, by_table[40].match) == (0, "")
    assert "no flow" in str(by_table[73])


def test_the_end_of_the_way_is_the_port_and_its_chassis() -> None:
    found = explained()
    assert found.leads_to == ((PORT_B, "compute-1"),)
    assert not found.is_dropped
    assert str(found).splitlines()[0] == "on controller-1:"


def test_a_packet_that_only_passes_connection_tracking_is_dropped() -> None:
    found = explained("explained-dropped")
    assert found.is_dropped
    assert found.leads_to == ()
    assert (found.steps[-1].stage, found.steps[-1].actions) == ("ls_in_l2_unknown", ("drop",))


@pytest.mark.parametrize(
    ("actions", "dropped"),
    [
        ("drop", True),
        ("ct(zone=11,nat),recirc(0x1)", True),
        ("ct(commit,zone=3),set(eth(dst=fa:16:3e:00:00:0c)),6", False),
        ("clone(tnl_push(tnl_port(3),header(size=58,type=5),out_port(2)),5)", False),
        ("tnl_push(tnl_port(3),header(size=58,type=5),out_port(2)),5", False),
        ("userspace(pid=0,controller(reason=1))", False),
    ],
)
def test_where_a_datapath_sends_packets(actions: str, dropped: bool) -> None:
    text = f"0. priority 0\ndrop\n\nDatapath actions: {actions}\n"
    assert parse_explained("n", text, DEVICE).is_dropped is dropped


def test_the_interface_of_a_port_with_two_digits_is_no_other_s() -> None:
    """OVN 25.03 looks up the last digit of the number: 3 for 13."""
    text = "0. in_port=13, priority 100\nresubmit(,8)\n  * OVS Interface: tapwrong (None)\n"
    found = parse_explained("n", text * 2, DEVICE)
    assert [step.interface for step in found.steps] == [DEVICE, ""]


def test_connections_have_zones_with_owners_and_their_nat() -> None:
    found = parse_connections(recorded("conntrack"), parse_zones(recorded("zones")))
    assert [each.protocol for each in found] == ["tcp", "udp", "tcp"]
    web, name, _ = found
    assert (web.src, web.dst, web.sport, web.dport) == ("10.9.1.10", "10.9.1.100", 40001, 80)
    assert (web.back_from, web.back_to) == ("10.9.1.11", "10.9.1.10")
    assert (web.zone, web.owner, web.state, web.mark) == (11, PORT_A, "SYN_SENT", 2)
    assert web.is_natted
    assert not name.is_natted
    assert (name.state, name.mark) == ("", 0)


def test_icmp_has_no_ports_and_a_foreign_zone_no_owner() -> None:
    line = (
        "icmp,orig=(src=10.9.1.11,dst=10.9.2.12,id=7,type=8,code=0),"
        "reply=(src=10.9.2.12,dst=10.9.1.11,id=7,type=0,code=0),zone=7"
    )
    (found,) = parse_connections(f"{line}\nnonsense\n", {})
    assert (found.sport, found.dport, found.owner, found.zone) == (None, None, "", 7)


def test_zones_of_routers_have_names_with_dashes() -> None:
    zones = parse_zones(recorded("zones"))
    assert zones[8] == "cr-lrp-x"
    assert zones[7] == "neutron-44444444-4444-4444-8444-444444444444_snat"


@pytest.mark.parametrize(
    ("packet", "of_ovn", "of_switch"),
    [
        (
            SYN,
            ("ip4.src == 10.9.1.10 && ip4.dst == 10.9.1.11 && ip.ttl == 64 && tcp && "
            "tcp.src == 40000 && tcp.dst == 80"),
            "tcp,tp_src=40000,tp_dst=80,nw_src=10.9.1.10,nw_dst=10.9.1.11,nw_ttl=64",
        ),
        (
            PING,
            ("ip4.src == 10.9.1.10 && ip4.dst == 10.9.1.11 && ip.ttl == 64 && icmp4.type == 8 && "
            "icmp4.code == 0"),
            "icmp,icmp_type=8,icmp_code=0,nw_src=10.9.1.10,nw_dst=10.9.1.11,nw_ttl=64",
        ),
        (
            replace(SYN, src="fd00::a", dst="fd00::b", protocol="udp", ttl=9),
            ("ip6.src == fd00::a && ip6.dst == fd00::b && ip.ttl == 9 && udp && "
            "udp.src == 40000 && udp.dst == 80"),
            "udp6,tp_src=40000,tp_dst=80,ipv6_src=fd00::a,ipv6_dst=fd00::b,nw_ttl=9",
        ),
        (
            replace(PING, src="fd00::a", dst="fd00::b", protocol="icmp6", icmp=(128, 0)),
            ("ip6.src == fd00::a && ip6.dst == fd00::b && ip.ttl == 64 && icmp6.type == 128 && "
            "icmp6.code == 0"),
            "icmp6,icmp_type=128,icmp_code=0,ipv6_src=fd00::a,ipv6_dst=fd00::b,nw_ttl=64",
        ),
        (
            ARP,
            (f"arp.op == 1 && arp.sha == {SYN.src_mac} && arp.spa == 10.9.1.10 && "
             "arp.tpa == 10.9.1.11"),
            f"arp,arp_op=1,arp_sha={SYN.src_mac},arp_spa=10.9.1.10,arp_tpa=10.9.1.11",
        ),
    ],
)  # fmt: skip
def test_a_packet_as_both_traces_want_it(packet: Packet, of_ovn: str, of_switch: str) -> None:
    macs = f"eth.src == {SYN.src_mac} && eth.dst == {SYN.dst_mac}"
    assert headers.expression(packet, "p") == f'inport == "p" && {macs} && {of_ovn}'
    macs = f"dl_src={SYN.src_mac},dl_dst={SYN.dst_mac}"
    assert headers.flow(packet, "tap1") == f'in_port="tap1",{of_switch},{macs}'


@pytest.mark.parametrize("other", [{"protocol": "gre"}, {"dport": None}, {"src": ""}])
def test_other_packets_cannot_be_traced(other: Mapping[str, Any]) -> None:
    with pytest.raises(KollalabError, match="only ARP, TCP, UDP and ICMP"):
        headers.expression(replace(SYN, **other), "p")


class Nodes:
    """Answers commands on nodes with what was recorded, and remembers them."""

    def __init__(self, answers: Mapping[str, str], fails: str = "") -> None:
        self.answers = answers
        self.fails = fails
        self.asked: list[tuple[str, list[str], str]] = []

    def run(self, node: str, argv: list[str], *, input: str = "", **_: object) -> SimpleNamespace:
        self.asked.append((node, argv, input))
        text = " ".join([*argv, input])
        if self.fails and self.fails in text:
            raise CommandError("it failed", details="ovn-nbctl: timeout expired")
        said = next((said for words, said in self.answers.items() if words in text), "")
        return SimpleNamespace(stdout=said, returncode=0)


class Api:
    """Neutron's ports by network and address."""

    def __init__(self, macs: Mapping[tuple[str, str], str]) -> None:
        self.macs = macs

    def ports(self, network_id: str, fixed_ips: str, **_: object) -> list[SimpleNamespace]:
        found = self.macs.get((network_id, fixed_ips.removeprefix("ip_address=")))
        return [SimpleNamespace(mac_address=found)] if found else []


NAMES = json.dumps(
    {"data": [[["map", [["logical-switch", DATA], ["name", "neutron-n1"]]]],
              [["map", [["logical-router", ROUTER], ["name", "neutron-r"]]]],
              [["map", [["other", "x"]]]]]}
)  # fmt: skip
MACS = {("n1", "10.9.1.11"): SYN.dst_mac, ("n1", "10.9.1.1"): "fa:16:3e:00:01:01"}


def ovn(nodes: Nodes) -> Ovn:
    return Ovn(cast("Any", SimpleNamespace(network=Api(MACS))), cast("Any", nodes), "10.64.1.11")


def probe(gateway: str | None = "10.9.1.1") -> Any:
    network = SimpleNamespace(id="n1", name="data", gateway=gateway)
    return SimpleNamespace(
        name="here", node="controller-1", ip="10.9.1.10", mac=SYN.src_mac, network=network,
        device="tapaaaaaaaa-00", ports=[SimpleNamespace(id=PORT_A)],
    )  # fmt: skip


def test_a_sync_waits_for_every_chassis_and_is_a_figure(measured: list[str]) -> None:
    nodes = Nodes({})
    assert ovn(nodes).sync() >= 0
    (asked,) = nodes.asked
    assert asked[0] == "controller-1"
    assert asked[1][-3:] == ["--timeout=60", "--wait=hv", "sync"]
    assert measured == ["OVN in sync"]


def test_a_sync_that_does_not_return_shows_northds_log() -> None:
    nodes = Nodes({"tail": "OVNSB commit failed\n"}, fails="--wait=hv")
    with pytest.raises(WaitError, match="not in sync after 60 s") as caught:
        ovn(nodes).sync()
    assert "OVNSB commit failed" in caught.value.details
    assert "timeout expired" in caught.value.details


def test_a_trace_is_asked_for_with_ids_and_told_with_names() -> None:
    nodes = Nodes({"ovn-trace": recorded("trace-routed"), "Datapath_Binding": NAMES})
    found = ovn(nodes).trace(probe(), "10.9.2.12")
    assert found.datapaths == ("neutron-n1", "neutron-r", OTHER)
    ((_, argv, _),) = [each for each in nodes.asked if "ovn-trace" in each[1]]
    assert "--no-friendly-names" in argv
    # One that is not said belongs to a connection that is established.
    assert argv.count("--ct=new") > 8
    # It goes to the router, as its address is in no network of the probe.
    assert argv[-2:] == ["neutron-n1", headers.expression(
        replace(PING, dst="10.9.2.12", dst_mac="fa:16:3e:00:01:01"), PORT_A)]  # fmt: skip


def test_a_trace_of_an_established_connection_and_of_a_choice() -> None:
    nodes = Nodes({"ovn-trace": recorded("trace-allowed"), "Datapath_Binding": NAMES})
    ovn(nodes).trace(probe(), "10.9.1.11", "tcp", established=True, backend="10.9.1.11:8080")
    ((_, argv, _),) = [each for each in nodes.asked if "ovn-trace" in each[1]]
    assert "--ct=new" not in argv
    assert "--lb-dst=10.9.1.11:8080" in argv
    assert argv[-1].endswith("tcp && tcp.src == 40000 && tcp.dst == 80")


def test_a_trace_that_ovn_cannot_make_is_an_error() -> None:
    nodes = Nodes({"ovn-trace": 'unknown datapath "neutron-n1"\n', "Datapath_Binding": NAMES})
    with pytest.raises(KollalabError, match="did not follow the packet") as caught:
        ovn(nodes).trace(probe(), "10.9.1.11")
    assert caught.value.details == 'unknown datapath "neutron-n1"'


def test_a_packet_without_a_way_is_an_error() -> None:
    with pytest.raises(KollalabError, match=r"here has no way to 192\.0\.2\.1"):
        ovn(Nodes({})).packet(probe(gateway=None), "192.0.2.1")


def test_a_packet_is_explained_where_its_sender_is() -> None:
    nodes = Nodes({"ofproto/trace": recorded("explained")})
    found = ovn(nodes).explain(probe(), SYN)
    assert found.leads_to == ((PORT_B, "compute-1"),)
    ((node, argv, script),) = nodes.asked
    assert node == "controller-1"
    assert argv[4:8] == [
        "br-int", headers.flow(SYN, "tapaaaaaaaa-00"), "tcp:10.64.1.11:6641", "tcp:10.64.1.11:6642"
    ]  # fmt: skip
    assert argv[8:10] == ["--ct-next", "trk,new"]
    assert 'ofproto/trace "$@" "$bridge" "$flow"' in script


def test_a_packet_that_a_switch_cannot_follow_is_an_error() -> None:
    with pytest.raises(KollalabError, match="the switch of controller-1 did not follow"):
        ovn(Nodes({"ofproto/trace": "br-int: unknown bridge"})).explain(probe(), SYN)


def test_the_chassis_of_a_port() -> None:
    bound = json.dumps({"data": [[["uuid", "c1"]]]})
    nodes = Nodes({"Port_Binding": bound, "list Chassis c1": "compute-1\n"})
    assert ovn(nodes).chassis_of(PORT_B) == "compute-1"
    unbound = json.dumps({"data": [[["set", []]]]})
    assert ovn(Nodes({"Port_Binding": unbound})).chassis_of(PORT_B) == ""


def test_what_is_made_for_a_block_goes_with_it_whatever_happens() -> None:
    nodes = Nodes({})
    words = ovn(nodes)
    network = cast("Any", SimpleNamespace(id="n1n1n1n1-0", name="data"))
    with (
        pytest.raises(ZeroDivisionError),
        words.mirrored(PORT_A, "10.64.3.11", ways="to-lport"),
        words.balanced(network, "10.9.1.100", 80, [(probe(), 8080)]),
    ):
        raise ZeroDivisionError
    done = [" ".join(argv[6:]) for _, argv, _ in nodes.asked if "sync" not in argv]
    assert done == [
        "mirror-add kollalab-aaaaaaaa gre 1 to-lport 10.64.3.11",
        f"lsp-attach-mirror {PORT_A} kollalab-aaaaaaaa",
        "lb-add kollalab-n1n1n1n1-80 10.9.1.100:80 10.9.1.10:8080 tcp",
        "ls-lb-add neutron-n1n1n1n1-0 kollalab-n1n1n1n1-80",
        "--if-exists lb-del kollalab-n1n1n1n1-80",
        f"lsp-detach-mirror {PORT_A} kollalab-aaaaaaaa",
        "mirror-del kollalab-aaaaaaaa",
    ]


def test_three_answers_that_agree_say_nothing() -> None:
    compared("a rule for port 80", [trace("allowed")], [SYN], holds=True)
    compared("no rule for port 22", [trace("refused")], [], holds=False)


@pytest.mark.parametrize(
    ("would", "seen", "holds"),
    [("refused", [SYN], True), ("allowed", [], True), ("allowed", [SYN], False)],
)
def test_three_answers_that_differ_are_all_told(
    would: str, seen: list[Packet], holds: bool
) -> None:
    with pytest.raises(AssertionError, match="asked: the rule, so that it ") as caught:
        compared("the rule", [trace(would)], seen, holds=holds)
    told = str(caught.value)
    assert trace(would).verdict in told
    assert f"captured: {len(seen)} packets" in told
