"""The traces of a tenant: its own things in what a node says, and what is different."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pytest_kollalab.sdn.tenant.leftovers import bgpvpns
from pytest_kollalab.sdn.tenant.traces import Mine, Traces, on

MINE = Mine("kl-sfc-1a2b-", frozenset({"tap0000000a-00"}), frozenset({"fa:16:3e:00:00:0a"}))
SAID = """\
kl-sfc-1a2b-source (id: 3)
kl-other-ffff-source (id: 4)
qdhcp-1
----
patch-tun
tap0000000a-00
tap0000000b-00
----
OFPST_FLOW reply (OF1.3) (xid=0x2):
 table=0, n_packets=3, priority=30,ip,in_port="tap0000000a-00",nw_dst=10.0.0.2 actions=group:1
 table=0, n_packets=3, priority=30,ip,in_port="tap0000000b-00",nw_dst=10.0.0.2 actions=group:2
 table=10, priority=1,mpls,dl_dst=fa:16:3e:00:00:0a,mpls_label=511 actions=output:"tap0000000a-00"
----
 group_id=1,type=select,bucket=actions=set_field:fa:16:3e:00:00:0a->eth_dst,resubmit(,5)
 group_id=2,type=select,bucket=actions=set_field:fa:16:3e:00:00:0b->eth_dst,resubmit(,5)
----
 table=0, priority=30,dl_src=fa:16:3e:00:00:0a actions=resubmit(,25)
 table=20, priority=2,dl_dst=fa:16:3e:00:00:0a actions=output:3
"""


def test_only_what_is_its_own() -> None:
    found = sorted(on("compute-1", SAID, MINE))
    assert [each.removeprefix("compute-1: ").split(",actions")[0][:24] for each in found] == [
        "flow of the tunnel bridg",
        "flow table=0,priority=30",
        "flow table=10,priority=1",
        "group 1",
        "namespace kl-sfc-1a2b-so",
        "port tap0000000a-00 of O",
    ]


def test_flows_that_change_count_when_their_port_is_gone() -> None:
    known = {"tap0000000a-00", "fa:16:3e:00:00:0a"}
    for there, left in (({*known}, set()), (set(), known)):
        mine = Mine(MINE.prefix, MINE.devices, MINE.macs, steady=False, there=frozenset(there))
        found = set(on("compute-1", SAID, mine))
        assert {each for each in found if " flows of " in each} == {
            f"compute-1: flows of {each}" for each in left
        }
        assert "compute-1: port tap0000000a-00 of Open vSwitch" in found


def test_what_is_new_what_is_gone_and_what_is_more() -> None:
    before = Traces({"port": 2, "network": 1}, frozenset({"a", "b"}))
    after = Traces({"port": 3, "network": 1, "port_chain": 1}, frozenset({"b", "c"}))
    assert after.beyond(before) == [
        "port: 3 instead of 2",
        "port_chain: 1 instead of 0",
        "left: c",
        "gone: a",
    ]
    assert before.beyond(before) == []


def test_the_last_one_of_a_kind_is_missed() -> None:
    before = Traces({"port": 2, "network": 1}, frozenset())
    assert Traces({"port": 2}, frozenset()).beyond(before) == ["network: 0 instead of 1"]


def test_vpns_of_a_project_are_asked_for_without_a_filter() -> None:
    """Neutron 29 refuses one that networking-bgpvpn does not declare."""
    there = [SimpleNamespace(id=n, project_id=str(n % 2)) for n in range(5)]
    network: Any = SimpleNamespace(bgpvpns=lambda: iter(there))
    assert [vpn.id for vpn in bgpvpns(network, "1")] == [1, 3]
