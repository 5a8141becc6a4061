"""Functions and ends on two nodes: the label crosses the tunnel, and so does the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe

PINGS = 5


@pytest.mark.kollalab_smoke
def test_a_function_on_the_other_node(
    sfc: Sfc, source: Probe, target: Probe, remote: Function
) -> None:
    with (
        sfc.chain(source, target, through=[remote]) as chain,
        chain.counting() as counted,
    ):
        assert sfc.path(source, target, PINGS) == [remote]
    assert counted.delivered == counted.passed_on == {remote: PINGS}
    assert sfc.path(source, target) == []


def test_there_and_back_again(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, remote: Function, nat: Function
) -> None:
    through = [firewall, remote, nat]
    with sfc.chain(source, target, through, symmetric=True):
        assert sfc.ways(source, target) == (through, through[::-1])
    assert sfc.ways(source, target) == ([], [])


def test_an_end_on_the_other_node(
    sfc: Sfc, source: Probe, far: Probe, firewall: Function, remote: Function
) -> None:
    with sfc.chain(source, far, through=[firewall, remote], symmetric=True):
        assert sfc.ways(source, far) == ([firewall, remote], [remote, firewall])
    assert sfc.ways(source, far) == ([], [])


def test_the_label_is_on_the_way_through_the_tunnel(
    sfc: Sfc, source: Probe, target: Probe, remote: Function
) -> None:
    with sfc.chain(source, target, through=[remote]) as chain:
        out = chain.flows(source.node).where(table=5, dl_dst=remote.ingress.mac)
        assert [flow.actions[-1] for flow in out] == ["output:patch-tun"]
        label = chain.layout.label(0)
        assert out[0].does(f"set_mpls_label:{label}")
        arriving = chain.flows(remote.node).where("mpls", table=10, mpls_label=label)
        assert arriving[0].does(f"output:{remote.ingress.device}")


def test_a_group_with_functions_on_both_nodes(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, remote: Function
) -> None:
    with sfc.chain(source, target, through=[[firewall, remote]]):
        share = sfc.share(source, target)
        assert set(share) == {firewall, remote}
        assert sfc.share(source, target) == share


def test_whole_packets_fit_through_a_remote_function(
    sfc: Sfc, source: Probe, target: Probe, remote: Function
) -> None:
    with sfc.chain(source, target, through=[remote]):
        # The label takes four bytes of what a packet may have on its way between nodes.
        assert source.ping(target, size=source.network.mtu - 4)
        assert source.tcp_echo(target, "0123456789" * 2000).name == target.name
