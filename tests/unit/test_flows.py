"""Flows and groups as ovs-ofctl prints them."""

from __future__ import annotations

import pytest

from pytest_kollalab.sdn.ovs.flows import (
    Bucket,
    OpenFlowGroup,
    normal_action,
    normal_match,
    parse_flows,
    parse_groups,
    split_outside,
)

# A br-int with one chain: one function, source and function on the same node.
DUMP = """\
OFPST_FLOW reply (OF1.3) (xid=0x2):
 cookie=0x8c1e9bd7f2a3, duration=62.117s, table=0, n_packets=3, n_bytes=294, priority=30,ip,\
in_port="tap1f0e9d8c-7b",nw_src=10.200.1.10,nw_dst=10.200.1.20 actions=group:1
 cookie=0x8c1e9bd7f2a3, duration=62.101s, table=0, n_packets=3, n_bytes=294, idle_age=2, \
priority=30,ip,in_port="tapaa11bb22-cc",nw_src=10.200.1.10,nw_dst=10.200.1.20 actions=NORMAL
 cookie=0x8c1e9bd7f2a3, duration=962.1s, table=0, n_packets=0, n_bytes=0, priority=20,mpls \
actions=resubmit(,10)
 cookie=0x8c1e9bd7f2a3, duration=972.1s, table=0, n_packets=41, n_bytes=3218, priority=0 \
actions=resubmit(,58)
 cookie=0x8c1e9bd7f2a3, duration=62.1s, table=5, n_packets=3, n_bytes=294, priority=0,ip,\
dl_dst=fa:16:3e:11:22:33 actions=push_mpls:0x8847,set_field:511->mpls_label,\
set_field:255->mpls_ttl,push_vlan:0x8100,set_field:4097->vlan_vid,resubmit(,10)
 cookie=0x8c1e9bd7f2a3, duration=62.0s, table=10, n_packets=3, n_bytes=318, priority=1,mpls,\
dl_vlan=1,dl_dst=fa:16:3e:11:22:33,mpls_label=511 actions=pop_vlan,pop_mpls:0x0800,\
output:"tap99887766-55"
 cookie=0x8c1e9bd7f2a3, duration=972.1s, table=10, n_packets=0, n_bytes=0, priority=0 actions=drop
"""

GROUPS = """\
OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):
 group_id=1,type=select,bucket=weight:1,actions=set_field:fa:16:3e:11:22:33->eth_dst,resubmit(,5),\
bucket=weight:3,actions=set_field:fa:16:3e:44:55:66->eth_dst,resubmit(,5)
 group_id=7001,type=select,bucket=actions=mod_dl_dst:fa:16:3e:11:22:33,resubmit(,5)
"""
STATS = """\
OFPST_GROUP reply (OF1.3) (xid=0x2):
 group_id=1,duration=61.9s,ref_count=1,packet_count=8,byte_count=784,\
bucket0:packet_count=2,byte_count=196,bucket1:packet_count=6,byte_count=588
"""


def test_fields_of_a_flow() -> None:
    flows = parse_flows(DUMP)
    assert len(flows) == 7
    first = flows[0]
    assert (first.table, first.priority, first.packets, first.bytes) == (0, 30, 3, 294)
    assert first.cookie == 0x8C1E9BD7F2A3
    assert first.match == {
        "ip": "",
        "in_port": "tap1f0e9d8c-7b",
        "nw_src": "10.200.1.10",
        "nw_dst": "10.200.1.20",
    }
    assert first.actions == ("group:1",)


def test_a_flow_is_found_by_its_fields_in_either_spelling() -> None:
    flows = parse_flows(DUMP)
    (delivery,) = flows.where("mpls", table=10, eth_dst="fa:16:3e:11:22:33", mpls_label=511)
    assert delivery.does("strip_vlan")
    assert delivery.does("output:tap99887766-55")
    (encapsulation,) = flows.where(table=5, action="set_mpls_label:511")
    assert encapsulation.does("mod_vlan_vid:1")
    assert flows.where(table=0, priority=30).packets == 6
    assert not flows.where("arp")


def test_flows_are_the_same_whatever_they_counted_and_however_they_are_spelt() -> None:
    new = parse_flows(
        " table=5, n_packets=9, priority=0,ip,dl_dst=fa:16:3e:11:22:33 "
        "actions=push_mpls:0x8847,set_field:511->mpls_label,strip_vlan"
    )
    old = parse_flows(
        " table=5, n_packets=4, priority=0,eth_type=0x0800,eth_dst=fa:16:3e:11:22:33 "
        "actions=push_mpls:0x8847,set_mpls_label:511,pop_vlan"
    )
    assert list(new) == list(old)
    assert len(new.without(old)) == 0
    assert new.since(old).packets == 5


def test_what_is_new_counts_in_full() -> None:
    flows = parse_flows(DUMP)
    assert flows.since(flows[:0]).packets == flows.packets
    assert flows.since(flows).packets == 0


def test_groups_with_their_buckets_and_counters() -> None:
    groups = parse_groups(GROUPS, STATS)
    assert sorted(groups) == [1, 7001]
    shared = groups[1]
    assert (shared.type, shared.packets) == ("select", 8)
    assert shared.buckets == (
        Bucket(1, ("set dl_dst=fa:16:3e:11:22:33", "resubmit(,5)")),
        Bucket(3, ("set dl_dst=fa:16:3e:44:55:66", "resubmit(,5)")),
    )
    assert [bucket.packets for bucket in shared.buckets] == [2, 6]
    assert groups[7001].packets == 0


@pytest.mark.parametrize(
    ("printed", "meant"),
    [
        ("mod_dl_dst:fa:16:3e:00:00:01", "set dl_dst=fa:16:3e:00:00:01"),
        ("set_field:fa:16:3e:00:00:01->eth_dst", "set dl_dst=fa:16:3e:00:00:01"),
        ("mod_vlan_vid:7", "set dl_vlan=7"),
        ("set_field:4103->vlan_vid", "set dl_vlan=7"),
        ("set_field:0x1007->vlan_vid", "set dl_vlan=7"),
        ("set_mpls_label:511", "set mpls_label=511"),
        ("set_mpls_ttl:255", "set mpls_ttl=255"),
        ("set_mpls_ttl(255)", "set mpls_ttl=255"),
        ("pop_vlan", "strip_vlan"),
        ("load:0x1->NXM_NX_TUN_ID[]", "load:0x1->NXM_NX_TUN_ID[]"),
        ("resubmit(,10)", "resubmit(,10)"),
    ],
)
def test_an_action_has_one_spelling(printed: str, meant: str) -> None:
    assert normal_action(printed) == meant


def test_a_match_has_one_spelling() -> None:
    assert normal_match({"eth_type": "0x8847", "vlan_vid": "0x1001/0x1fff"}) == {
        "mpls": "",
        "dl_vlan": "1",
    }
    assert normal_match({"ip": "", "nw_proto": "6", "tcp_dst": "80"}) == {
        "ip": "",
        "tcp": "",
        "tp_dst": "80",
    }


def test_commas_within_parentheses_do_not_split() -> None:
    text = "learn(table=20,priority=1,load:0->NXM_OF_VLAN_TCI[]),output:2"
    assert split_outside(text)[1] == "output:2"


def test_a_flow_whose_actions_were_changed_counts_from_before_on() -> None:
    # Open vSwitch 3.5: an OFPFC_ADD of OpenFlow 1.3 over a flow replaces its actions, and its
    # counters go on, though its duration begins anew.
    old = parse_flows(
        " cookie=0x1, duration=3.8s, table=0, n_packets=3, n_bytes=126, priority=5,in_port=1 "
        "actions=output:2"
    )
    new = parse_flows(
        " cookie=0x2, duration=2.0s, table=0, n_packets=6, n_bytes=252, priority=5,in_port=1 "
        "actions=output:3\n"
        " cookie=0x2, duration=2.0s, table=0, n_packets=1, n_bytes=42, priority=6,in_port=1 "
        "actions=output:3"
    )
    changed, added = new.since(old)
    assert (changed.packets, changed.bytes) == (3, 126)
    assert added.packets == 1


def test_a_flow_that_was_deleted_and_made_again_counts_in_full() -> None:
    old = parse_flows(" n_packets=5, n_bytes=210, priority=5,in_port=1 actions=output:2")
    new = parse_flows(" n_packets=2, n_bytes=84, priority=5,in_port=1 actions=output:2")
    (again,) = new.since(old)
    assert (again.packets, again.bytes) == (2, 84)


def test_a_group_that_was_changed_counts_in_full() -> None:
    # Open vSwitch sets the counters of a group to zero when its buckets change.
    (before,) = parse_groups(
        " group_id=1,type=select,bucket=actions=output:2",
        "group_id=1,packet_count=3,byte_count=126,bucket0:packet_count=3,byte_count=126",
    ).values()
    (after,) = parse_groups(
        " group_id=1,type=select,bucket=actions=output:3,bucket=actions=output:2",
        "group_id=1,packet_count=5,bucket0:packet_count=1,byte_count=1,bucket1:packet_count=4",
    ).values()
    assert after.since(before) == after
    assert [bucket.packets for bucket in after.since(before).buckets] == [1, 4]
    assert after.since(after).packets == 0
    fewer = OpenFlowGroup(1, "select", (Bucket(1, ("output:2",), 1),), 1)
    assert fewer.since(before).packets == 1
