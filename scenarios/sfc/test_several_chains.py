"""Several chains at once: each keeps to its own way, also through functions that they share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.sfc.words import Sfc
from pytest_kollalab.plugin.fixtures import make_tenant
from pytest_kollalab.sdn.tenant.tenant import COMPUTE

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.features.sfc.words import Function
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network


def test_two_directions_in_opposite_order(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.chain(source, target, through=[firewall, nat]),
        sfc.chain(target, source, through=[nat, firewall]),
    ):
        assert sfc.ways(source, target) == ([firewall, nat], [nat, firewall])
        assert sfc.ways(target, source) == ([nat, firewall], [firewall, nat])
    assert sfc.ways(source, target) == ([], [])
    assert sfc.ways(target, source) == ([], [])


def test_the_function_of_a_shared_group_is_replaced(
    sfc: Sfc,
    source: Probe,
    target: Probe,
    far: Probe,
    firewall: Function,
    nat: Function,
    counter: Function,
) -> None:
    with (
        sfc.group(firewall) as shared,
        sfc.chain(source, target, through=[shared]) as short,
        sfc.chain(far, target, through=[shared, nat]) as long,
    ):
        assert sfc.path(source, target) == [firewall]
        assert sfc.path(far, target) == [firewall, nat]
        shared.update([counter])
        assert sfc.path(source, target) == [counter]
        assert sfc.path(far, target) == [counter, nat]
        assert not short.stray()
        assert not long.stray()


def test_chains_from_two_nodes_share_a_function(
    sfc: Sfc, source: Probe, target: Probe, far: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.chain(source, target, through=[firewall]),
        sfc.chain(far, target, through=[firewall, nat]),
    ):
        assert sfc.path(source, target) == [firewall]
        assert sfc.path(far, target) == [firewall, nat]
    assert sfc.path(far, target) == []


def test_the_older_of_two_chains_may_go(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    older = sfc.chain(source, target, through=[firewall])
    with sfc.chain(target, source, through=[firewall, nat]) as newer:
        assert sfc.ways(source, target) == ([firewall], [firewall, nat])
        older.delete()
        assert sfc.ways(source, target) == ([], [firewall, nat])
        assert not newer.stray()


@pytest.mark.defect("sfc-shared-function-has-one-label", raises=AssertionError)
def test_the_newer_of_two_chains_may_go(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]) as older:
        newer = sfc.chain(target, source, through=[firewall, nat])
        newer.delete()
        assert not older.stray()
        assert sfc.ways(source, target) == ([firewall], [])


def test_projects_with_the_same_addresses_have_a_chain_each(
    sfc: Sfc,
    source: Probe,
    target: Probe,
    network: Network,
    firewall: Function,
    openstack_cloud: Connection,
    kollalab: Lab,
) -> None:
    with (
        sfc.chain(source, target, through=[firewall]),
        make_tenant(openstack_cloud, kollalab, "sfc-twin") as twin,
        Sfc(twin) as others,
    ):
        same = twin.network("chained", network.cidr, dhcp=False)
        with twin.together():
            here = twin.probe(same, COMPUTE, name="source", ip=source.ip)
            there = twin.probe(same, COMPUTE, name="target", ip=target.ip)
            nat = others.function(same, COMPUTE, name="nat")
        with others.chain(here, there, through=[nat]):
            assert others.path(here, there) == [nat]
            assert sfc.path(source, target) == [firewall]
