"""A port chain leads packets through its functions, in order, for as long as it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe

PINGS = 5


@pytest.mark.kollalab_smoke
def test_one_function(sfc: Sfc, source: Probe, target: Probe, firewall: Function) -> None:
    assert sfc.path(source, target) == []
    with (
        sfc.chain(source, target, through=[firewall]) as chain,
        chain.counting() as counted,
    ):
        assert sfc.path(source, target, PINGS) == [firewall]
    assert counted.classified == PINGS
    assert counted.delivered == {firewall: PINGS}
    assert counted.passed_on == {firewall: PINGS}
    assert sfc.path(source, target) == []


def test_answers_take_the_direct_path(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]):
        assert sfc.ways(source, target) == ([firewall], [])
        assert sfc.ways(target, source) == ([], [firewall])


def test_answers_of_a_symmetric_chain_take_the_same_function(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with (
        sfc.chain(source, target, through=[firewall], symmetric=True) as chain,
        chain.counting() as counted,
    ):
        assert sfc.ways(source, target, PINGS) == ([firewall], [firewall])
    assert (counted.classified, counted.answered) == (PINGS, PINGS)
    assert counted.delivered == counted.returned == {firewall: PINGS}
    assert counted.passed_on == counted.passed_back == {firewall: PINGS}
    assert sfc.ways(source, target) == ([], [])


def test_functions_are_crossed_in_order(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function, counter: Function
) -> None:
    with (
        sfc.chain(source, target, through=[firewall, nat, counter]) as chain,
        chain.counting() as counted,
    ):
        assert sfc.path(source, target, PINGS) == [firewall, nat, counter]
    assert counted.classified == PINGS
    assert set(counted.delivered.values()) == set(counted.passed_on.values()) == {PINGS}
    with sfc.chain(source, target, through=[counter, firewall, nat]):
        assert sfc.path(source, target) == [counter, firewall, nat]
    assert sfc.path(source, target) == []


def test_answers_cross_a_symmetric_chain_backwards(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function, counter: Function
) -> None:
    through = [firewall, nat, counter]
    with sfc.chain(source, target, through, symmetric=True) as chain, chain.counting() as counted:
        assert sfc.ways(source, target, PINGS) == (through, through[::-1])
    assert set(counted.returned.values()) == set(counted.passed_back.values()) == {PINGS}
    assert sfc.ways(source, target) == ([], [])


def test_functions_count_what_open_vswitch_counts(
    sfc: Sfc, source: Probe, target: Probe, counter: Function
) -> None:
    with sfc.chain(source, target, through=[counter]) as chain:
        before = counter.forwarded()
        with chain.counting() as counted:
            assert source.ping(target, PINGS)
        assert counter.forwarded() - before == counted.passed_on[counter] == PINGS


def test_a_chain_leads_tcp_and_udp(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall, nat], symmetric=True):
        before = nat.forwarded()
        assert source.tcp_echo(target, "0123456789" * 2000).name == target.name
        assert source.udp_echo(target).name == target.name
        assert nat.forwarded() > before


def test_labels_tell_chain_and_step(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall, nat]) as chain:
        first, second = chain.number << 8 | 255, chain.number << 8 | 254
        flows = chain.flows(source.node)
        assert flows.where(table=5, dl_dst=firewall.ingress.mac, action=f"set_mpls_label:{first}")
        assert flows.where("mpls", table=10, mpls_label=first, action="pop_mpls:0x0800")
        assert flows.where(table=5, dl_dst=nat.ingress.mac, action=f"set_mpls_label:{second}")
        assert flows.where("mpls", table=10, mpls_label=second, action="pop_mpls:0x0800")
        assert not chain.stray()


def test_delete_leaves_no_flow_and_no_group(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    chain = sfc.chain(source, target, through=[firewall, nat], symmetric=True)
    assert sfc.path(source, target) == [firewall, nat]
    # Not `chain.delete()`, which would remove flows that the agent leaves behind.
    chain.withdraw()
    chain.wait_gone()
    assert not any(chain.flows(node) for node in chain.nodes)
    with chain.counting() as counted:
        assert sfc.ways(source, target) == ([], [])
    assert counted.classified == 0
