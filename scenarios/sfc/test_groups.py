"""Functions that share the load: each flow takes one of them and stays with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.sdn.ovs.flows import look

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe

FLOWS = 200


def test_functions_of_a_group_share_the_load(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[[firewall, nat]]) as chain:
        share = sfc.share(source, target, FLOWS)
        assert set(share) == {firewall, nat}
        # A random choice for 200 flows practically never gives less than a quarter.
        assert min(len(ports) for ports in share.values()) > FLOWS / 4
        assert len(sfc.path(source, target)) == 1
        assert not chain.stray()
    assert sfc.path(source, target) == []


def test_a_flow_stays_with_its_function(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[[firewall, nat]]):
        first = sfc.share(source, target, FLOWS, packets=3)
        again = sfc.share(source, target, FLOWS, packets=3)
        assert first == again


def test_answers_of_a_group_in_a_symmetric_chain(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[[firewall, nat]], symmetric=True):
        there, back = sfc.ways(source, target)
        assert len(there) == len(back) == 1
        assert set(sfc.share(source, target, FLOWS)) == {firewall, nat}
        assert set(sfc.share(target, source, FLOWS)) == {firewall, nat}
    assert sfc.ways(source, target) == ([], [])


def test_buckets_of_the_group_count_the_shares(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[[firewall, nat]]) as chain:
        (group,) = chain.groups
        before = look(sfc.tenant.ssh, source.node, settled=True)
        share = sfc.share(source, target, FLOWS, packets=1)
        counted = look(sfc.tenant.ssh, source.node, settled=True).since(before)
        buckets = counted.groups[group.number].buckets
        assert {bucket.actions[0]: bucket.packets for bucket in buckets} == {
            f"set dl_dst={function.ingress.mac}": len(ports) for function, ports in share.items()
        }


def test_groups_in_a_row_share_the_load_each(
    sfc: Sfc,
    source: Probe,
    target: Probe,
    firewall: Function,
    nat: Function,
    counter: Function,
    remote: Function,
) -> None:
    with (
        sfc.chain(source, target, through=[[firewall, remote], [nat, counter]]) as chain,
        chain.counting() as counted,
    ):
        first, second = sfc.path(source, target)
        assert first in (firewall, remote)
        assert second in (nat, counter)
    assert sum(counted.delivered.values()) == 2 * counted.classified == 6


def test_add_a_function_to_a_group(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.group(firewall) as group,
        sfc.chain(source, target, through=[group]),
    ):
        assert set(sfc.share(source, target, FLOWS)) == {firewall}
        group.update([firewall, nat])
        assert set(sfc.share(source, target, FLOWS)) == {firewall, nat}


def test_remove_a_function_from_a_group(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.group(firewall, nat) as group,
        sfc.chain(source, target, through=[group]),
    ):
        assert set(sfc.share(source, target, FLOWS)) == {firewall, nat}
        group.update([nat])
        assert set(sfc.share(source, target, FLOWS)) == {nat}


def test_replace_the_function_of_a_group(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.group(firewall) as group,
        sfc.chain(source, target, through=[group]) as chain,
    ):
        assert sfc.path(source, target) == [firewall]
        group.update([nat])
        assert sfc.path(source, target) == [nat]
        assert not chain.stray()
