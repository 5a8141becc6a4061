"""The pure parts of service chains: classifiers, paths, shares, what Open vSwitch has to hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pytest_kollalab.features.sfc.function import parse_forwarded
from pytest_kollalab.features.sfc.oracle import ChainLayout, Plan, last_hops, leaving, plan, stray
from pytest_kollalab.features.sfc.path import crossed, flows_by_function, ways, whereabouts
from pytest_kollalab.features.sfc.words import Function, Group, Traffic
from pytest_kollalab.sdn.capture.packets import Packet, Sighting
from pytest_kollalab.sdn.ovs.flows import Switch, parse_flows, parse_groups
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Port, address_of
from pytest_kollalab.sdn.tenant.tenant import Tenant
from pytest_kollalab.system.ssh import Ssh

NETWORK = Network("n", "net", "s", "10.200.1.0/24", "10.200.1.1", 1450)
NAMESPACE = Namespace(Ssh(Path("ssh_config")), "compute-1", "kl-x")


def port(number: int) -> Port:
    return Port(f"{number:08x}-0000-0000", f"fa:16:3e:00:00:{number:02x}", f"10.200.1.{number}")


def function(name: str, number: int) -> Function:
    return Function(name, NETWORK, NAMESPACE, port(number), port(number + 1))


def request(ttl: int, time: float) -> Packet:
    return Packet(time, "", "", 0x0800, 98, ttl=ttl)


SOURCE = Probe("source", NETWORK, NAMESPACE, [port(10)])
TARGET = Probe("target", NETWORK, NAMESPACE, [port(20)])
FIREWALL = function("firewall", 30)
NAT = function("nat", 40)


def both(packets: Sequence[Packet]) -> tuple[Sequence[Packet], Sequence[Packet]]:
    return packets, packets


def test_the_order_is_that_of_the_ttl_whatever_the_clocks_say() -> None:
    seen = [
        (NAT, both([request(63, 1.0), request(63, 2.0)])),
        (FIREWALL, both([request(64, 5.0), request(64, 6.0)])),
        (function("unused", 50), both([])),
    ]
    assert crossed(seen, 2) == [FIREWALL, NAT]


def test_functions_that_do_not_route_are_ordered_by_time() -> None:
    seen = [(NAT, both([request(64, 2.0)])), (FIREWALL, both([request(64, 1.0)]))]
    assert crossed(seen, 1) == [FIREWALL, NAT]


def test_a_function_that_saw_half_of_the_packets_is_no_path() -> None:
    with pytest.raises(AssertionError, match="firewall saw 1 of 2"):
        crossed([(FIREWALL, both([request(64, 1.0)]))], 2)


def test_a_function_that_kept_the_packets_is_no_path() -> None:
    with pytest.raises(AssertionError, match="firewall saw 1 packets and passed on 0"):
        crossed([(FIREWALL, ([request(64, 1.0)], []))], 1)


def ping(device: str, way: str, ttl: int, *, answer: bool = False) -> Sighting:
    src, dst = ("10.200.1.20", "10.200.1.10") if answer else ("10.200.1.10", "10.200.1.20")
    icmp = (0 if answer else 8, 0)
    packet = Packet(float(70 - ttl), "", "", 0x0800, 98, src, dst, "icmp", ttl, icmp=icmp)
    return Sighting(device, way, packet)


def test_both_ways_of_a_ping() -> None:
    seen = [
        ping(FIREWALL.ingress.device, "in", 64),
        ping(FIREWALL.egress.device, "out", 63),
        ping(NAT.ingress.device, "in", 63),
        ping(NAT.egress.device, "out", 62),
        # Flooded to it, not sent to it.
        ping(NAT.ingress.device, "by", 64),
        ping(NAT.egress.device, "in", 64, answer=True),
        ping(NAT.ingress.device, "out", 63, answer=True),
    ]
    there, back = ways(seen, [NAT, FIREWALL], SOURCE.ip, TARGET.ip, 1)
    assert (there, back) == ([FIREWALL, NAT], [NAT])


def test_where_a_lost_ping_was_seen_last() -> None:
    seen = [
        ping(SOURCE.device, "out", 64),
        ping(SOURCE.device, "out", 64),
        ping(FIREWALL.ingress.device, "in", 64),
        ping(FIREWALL.ingress.device, "in", 64),
        ping(FIREWALL.egress.device, "out", 63),
    ]
    places = {
        "firewall": [FIREWALL.ingress.device, FIREWALL.egress.device],
        "target": [TARGET.device],
    }
    assert whereabouts(seen, places) == (
        "firewall: pings 2 in, 1 out; answers 0 in, 0 out\n"
        "target: pings 0 in, 0 out; answers 0 in, 0 out"
    )


def sprayed(function: Function, sport: int) -> Sighting:
    packet = Packet(1.0, "", "", 0x0800, 60, SOURCE.ip, TARGET.ip, "udp", 64, sport, 9)
    return Sighting(function.ingress.device, "in", packet)


def test_the_flows_of_each_function() -> None:
    seen = [sprayed(FIREWALL, 1), sprayed(NAT, 2), sprayed(FIREWALL, 3)]
    shares = flows_by_function(seen, [FIREWALL, NAT], SOURCE.ip, TARGET.ip, [1, 2, 3], 1)
    assert shares == {FIREWALL: {1, 3}, NAT: {2}}


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        ([sprayed(FIREWALL, 1), sprayed(NAT, 1)], "went to firewall and to nat"),
        ([sprayed(FIREWALL, 1), sprayed(FIREWALL, 1)], "got 2 of 1 packets"),
        ([], "no function got the flows from ports"),
    ],
)
def test_a_flow_that_is_split_doubled_or_lost(seen: list[Sighting], why: str) -> None:
    with pytest.raises(AssertionError, match=why):
        flows_by_function(seen, [FIREWALL, NAT], SOURCE.ip, TARGET.ip, [1], 1)


def test_a_classifier_names_source_and_addresses() -> None:
    assert Traffic(SOURCE, TARGET).classifier() == {
        "ethertype": "IPv4",
        "logical_source_port": "0000000a-0000-0000",
        "source_ip_prefix": "10.200.1.10/32",
        "destination_ip_prefix": "10.200.1.20/32",
    }


def test_a_symmetric_classifier_with_a_port() -> None:
    fields = Traffic(SOURCE, TARGET, "tcp", 80).classifier(symmetric=True)
    assert fields["logical_destination_port"] == "00000014-0000-0000"
    assert fields["protocol"] == "tcp"
    assert fields["destination_port_range_min"] == fields["destination_port_range_max"] == 80


def test_a_target_is_a_probe_or_an_address() -> None:
    assert address_of(TARGET) == address_of("10.200.1.20") == "10.200.1.20"


def test_the_device_of_a_port_fits_linux() -> None:
    assert Port("1f0e9d8c-7b6a-4958-8776-655443322110", "m", "i").device == "tap1f0e9d8c-7b"


def test_what_the_kernel_says_of_forwarded_packets() -> None:
    said = "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams\n"
    assert parse_forwarded(said + "Ip: 1 64 91528 0 0 60872 0 0\n") == 60872


def layout(number: int = 1, *, symmetric: bool = False) -> ChainLayout:
    tenant = Tenant.__new__(Tenant)
    group = Group(tenant, [FIREWALL], implicit=True)
    group.number = 1
    return ChainLayout(number, (Traffic(SOURCE, TARGET),), (group,), ((FIREWALL,),), symmetric)


DUMP = """\
 table=0, priority=30,ip,in_port="tap0000000a-00",nw_src=10.200.1.10,nw_dst=10.200.1.20 \
actions=group:1
 table=0, priority=30,ip,in_port="tap0000001f-00",nw_src=10.200.1.10,nw_dst=10.200.1.20 \
actions=NORMAL
 table=0, priority=20,mpls actions=resubmit(,10)
 table=5, priority=0,ip,dl_dst=fa:16:3e:00:00:1e actions=push_mpls:0x8847,\
set_field:511->mpls_label,set_field:255->mpls_ttl,push_vlan:0x8100,set_field:4097->vlan_vid,\
resubmit(,10)
 table=10, priority=1,mpls,dl_vlan=1,dl_dst=fa:16:3e:00:00:1e,mpls_label=511 \
actions=pop_vlan,pop_mpls:0x0800,output:"tap0000001e-00"
"""
GROUPS = " group_id=1,type=select,bucket=weight:1,actions=set_field:fa:16:3e:00:00:1e->eth_dst,x\n"


def switches(flows: str = DUMP, groups: str = GROUPS) -> dict[str, Switch]:
    return {"compute-1": Switch(parse_flows(flows), parse_groups(groups))}


def test_nothing_is_missing_of_a_chain_that_is_there() -> None:
    here = layout()
    assert plan(here).missing(switches()) == []
    assert plan(here).surplus([here], [], switches()).told() == []
    assert stray(switches(), here.macs) == []


@pytest.mark.parametrize("line", [0, 1, 3, 4])
def test_each_flow_of_a_chain_is_missed(line: int) -> None:
    lines = DUMP.splitlines(keepends=True)
    del lines[line]
    (missing,) = plan(layout()).missing(switches("".join(lines)))
    assert "compute-1" in missing


def test_a_group_that_leads_elsewhere_is_missed() -> None:
    other = GROUPS.replace("1e->eth_dst", "2f->eth_dst")
    assert "group 1 on compute-1" in plan(layout()).missing(switches(groups=other))[0]


def test_all_that_is_left_of_a_chain_is_found() -> None:
    left = Plan().surplus([layout()], [], switches()).told()
    # Four flows and the group; what the agent made when it started is nobody's.
    assert len(left) == 5


def test_what_is_left_is_told_to_ovs_ofctl_by_what_it_matches() -> None:
    left = Plan().surplus([layout()], [], switches())
    assert left.groups == {"compute-1": [1]}
    told = [flow.matching for flow in left.flows["compute-1"]]
    assert told[-1] == (
        "table=10,priority=1,dl_dst=fa:16:3e:00:00:1e,dl_vlan=1,mpls,mpls_label=511"
    )


def test_what_another_chain_needs_is_not_left_over() -> None:
    assert Plan().surplus([layout(2)], [layout(1)], switches()).told() == []


def test_a_symmetric_chain_wants_the_way_back() -> None:
    missing = plan(layout(symmetric=True)).missing(switches())
    assert "target classified goes back, on compute-1" in missing
    assert "firewall goes back, on compute-1" in missing
    assert any("group 7001" in each for each in missing)


def test_a_label_by_which_nobody_delivers_is_adrift() -> None:
    wrong = switches(DUMP.replace("mpls_label=511", "mpls_label=767"))
    assert "mpls_label=511" in stray(wrong, layout().macs)[0]


def test_two_directions_in_one_symmetric_chain_share_flows() -> None:
    group = layout().groups[0]
    traffic = (Traffic(SOURCE, TARGET), Traffic(TARGET, SOURCE))
    wanted = plan(ChainLayout(1, traffic, (group,), ((FIREWALL,),), symmetric=True)).flows
    matches = [(w.table, tuple(sorted(w.match.items()))) for w in wanted]
    assert len(set(matches)) == len(matches)
    # So what arrives may have gone either way: which rule was written last is anybody's guess.
    both = ChainLayout(1, traffic, (group,), ((FIREWALL,),), symmetric=True)
    on, back = (leaving(FIREWALL, back=back).mac for back in (False, True))
    assert (last_hops(layout(symmetric=True)), last_hops(both)) == ({on}, {on, back})
