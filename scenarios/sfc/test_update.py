"""A chain is changed while it is there: what it leads, and through what."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe


def test_add_a_classifier(sfc: Sfc, source: Probe, far: Probe, firewall: Function) -> None:
    with sfc.chain(source, far, through=[firewall]) as chain:
        assert sfc.ways(source, far) == ([firewall], [])
        chain.update(traffic=[*chain.traffic, sfc.traffic(far, source)])
        assert sfc.ways(source, far) == ([firewall], [firewall])
    assert sfc.ways(source, far) == ([], [])


def test_remove_a_classifier(sfc: Sfc, source: Probe, far: Probe, firewall: Function) -> None:
    back = sfc.traffic(far, source)
    with sfc.chain(source, far, through=[firewall], also=[back]) as chain:
        assert sfc.ways(source, far) == ([firewall], [firewall])
        chain.update(traffic=[sfc.traffic(source, far)])
        assert sfc.ways(source, far) == ([firewall], [])


def test_replace_a_classifier(sfc: Sfc, source: Probe, target: Probe, firewall: Function) -> None:
    with sfc.chain(source, target, through=[firewall]) as chain:
        assert sfc.ways(source, target) == ([firewall], [])
        chain.update(traffic=[sfc.traffic(target, source)])
        assert sfc.ways(source, target) == ([], [firewall])


def test_add_a_group(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]) as chain:
        assert sfc.path(source, target) == [firewall]
        chain.update(through=sfc.steps([firewall, nat]))
        assert sfc.path(source, target) == [firewall, nat]


def test_remove_a_group(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall, nat]) as chain:
        assert sfc.path(source, target) == [firewall, nat]
        chain.update(through=sfc.steps([nat]))
        assert sfc.path(source, target) == [nat]


def test_replace_a_group(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]) as chain:
        assert sfc.path(source, target) == [firewall]
        chain.update(through=sfc.steps([nat]))
        assert sfc.path(source, target) == [nat]


def test_turn_the_order_round(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall, nat], symmetric=True) as chain:
        assert sfc.ways(source, target) == ([firewall, nat], [nat, firewall])
        chain.update(through=sfc.steps([nat, firewall]))
        assert sfc.ways(source, target) == ([nat, firewall], [firewall, nat])


def test_replace_groups_and_classifiers_at_once(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]) as chain:
        assert sfc.ways(source, target) == ([firewall], [])
        chain.update(through=sfc.steps([nat]), traffic=[sfc.traffic(target, source)])
        assert sfc.ways(source, target) == ([], [nat])


def test_an_update_that_changes_nothing(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]) as chain:
        before = chain.flows(source.node)
        chain.update()
        # In whatever order: a switch lists them by their hashes.
        assert set(chain.flows(source.node)) == set(before)
        assert sfc.path(source, target) == [firewall]
