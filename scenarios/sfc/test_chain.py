"""A port chain leads packets through its functions, in order, for as long as it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.sdn.network import Network
    from pytest_kollalab.sdn.probe import Probe
    from pytest_kollalab.sdn.sfc import Function, Sfc
    from pytest_kollalab.sdn.tenant import Tenant

PINGS = 5


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("chained", dhcp=False)


@pytest.fixture(scope="module")
def source(tenant: Tenant, network: Network) -> Probe:
    return tenant.probe(network, "compute-1", name="source")


@pytest.fixture(scope="module")
def target(tenant: Tenant, network: Network, source: Probe) -> Probe:
    probe = tenant.probe(network, "compute-1", name="target")
    source.reaches(probe)
    return probe


@pytest.fixture(scope="module")
def firewall(sfc: Sfc, network: Network) -> Function:
    return sfc.function(network, "compute-1", name="firewall")


@pytest.fixture(scope="module")
def counter(sfc: Sfc, network: Network) -> Function:
    return sfc.function(network, "compute-1", name="counter")


@pytest.mark.smoke
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


def test_two_functions_in_order(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, counter: Function
) -> None:
    with (
        sfc.chain(source, target, through=[firewall, counter]) as chain,
        chain.counting() as counted,
    ):
        assert sfc.path(source, target, PINGS) == [firewall, counter]
    assert counted.classified == PINGS
    assert counted.delivered == {firewall: PINGS, counter: PINGS}
    assert counted.passed_on == {firewall: PINGS, counter: PINGS}

    with sfc.chain(source, target, through=[counter, firewall]):
        assert sfc.path(source, target) == [counter, firewall]


def test_delete_restores_the_direct_path(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, counter: Function
) -> None:
    chain = sfc.chain(source, target, through=[firewall, counter])
    assert sfc.path(source, target) == [firewall, counter]
    with chain.counting() as counted:
        chain.delete()
        chain.wait_gone()
        assert sfc.path(source, target, PINGS) == []
    assert counted.classified == 0
    assert not any(chain.flows(node) for node in chain.nodes)


def test_answers_take_the_direct_path(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with (
        sfc.chain(source, target, through=[firewall]),
        sfc.watch(source, target) as seen,
    ):
        assert source.ping(target)
    assert seen[firewall].packets.requests
    assert not seen[firewall].packets.replies


def test_only_what_was_asked_for_is_led(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall], protocol="tcp", port=7777):
        assert sfc.path(source, target) == []
        with firewall.capture("tcp and dst port 7777") as seen:
            assert source.tcp_echo(target, port=7777)
        assert seen.packets
        with firewall.capture("tcp and dst port 8888") as seen:
            assert source.tcp_echo(target, port=8888)
        assert not seen.packets


def test_a_function_on_the_other_node(
    sfc: Sfc, network: Network, source: Probe, target: Probe
) -> None:
    remote = sfc.function(network, "controller-1", name="remote")
    with sfc.chain(source, target, through=[remote]):
        assert sfc.path(source, target) == [remote]
    assert sfc.path(source, target) == []
