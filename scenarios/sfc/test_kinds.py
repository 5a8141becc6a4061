"""Functions of other kinds: with one arm, with a copy of the traffic, and some that die."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.tenant import COMPUTE, CONTROLLER

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

PINGS = 5


@pytest.fixture(scope="module")
def routers(tenant: Tenant, sfc: Sfc, cast: object, network: Network) -> list[Function]:
    """Functions with one port each, as routers have that are used in chains."""
    with tenant.together():
        return [
            sfc.function(network, node, name=f"router-{number}", arms=1)
            for number, node in enumerate((COMPUTE, CONTROLLER))
        ]


def test_functions_with_one_arm(
    sfc: Sfc, source: Probe, target: Probe, routers: list[Function]
) -> None:
    with sfc.chain(source, target, through=routers):
        assert sfc.path(source, target) == routers
    assert sfc.path(source, target) == []


def test_answers_through_functions_with_one_arm(
    sfc: Sfc, source: Probe, target: Probe, routers: list[Function]
) -> None:
    with sfc.chain(source, target, through=routers, symmetric=True):
        assert sfc.ways(source, target) == (routers, routers[::-1])
    assert sfc.ways(source, target) == ([], [])


def test_a_dead_function_takes_the_traffic_along_until_it_is_replaced(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.group(firewall) as group,
        sfc.chain(source, target, through=[group]) as chain,
    ):
        assert sfc.path(source, target) == [firewall]
        with firewall.dead():
            with chain.counting() as counted:
                assert source.ping(target, PINGS, burst=True).received == 0
            # Open vSwitch still leads the traffic there, because functions are not monitored.
            assert counted.classified == counted.delivered[firewall] == PINGS
            assert counted.passed_on[firewall] == 0
            group.update([nat])
            assert sfc.path(source, target) == [nat]
        group.update([firewall])
        assert sfc.path(source, target) == [firewall]


def test_a_dead_function_takes_its_share_of_the_flows_along(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.group(firewall, nat) as group,
        sfc.chain(source, target, through=[group]),
    ):
        before = sfc.share(source, target)
        with firewall.dead():
            arrived = sfc.arrivals(source, target)
            assert arrived == before[nat]
            group.update([nat])
            assert sfc.arrivals(source, target) == before[nat] | before[firewall]


def test_a_function_that_comes_back_goes_on(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall, nat]):
        with nat.dead():
            assert source.ping(target, 1).received == 0
        assert sfc.path(source, target) == [firewall, nat]


def test_a_tap_gets_a_copy_and_diverts_nothing(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[sfc.tap(firewall)]):
        with sfc.watching(target) as seen:
            assert source.ping(target, PINGS, burst=True)
        assert len(sfc.copies(seen, firewall, source)) == PINGS
        assert sfc.path(source, target) == []


def test_a_tap_beside_a_function(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[sfc.tap(nat), firewall]):
        with sfc.watching(target) as seen:
            assert source.ping(target, PINGS, burst=True)
        assert len(sfc.copies(seen, nat, source)) == PINGS
        assert sfc.path(source, target) == [firewall]


def test_the_copy_for_a_tap_can_be_read(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[sfc.tap(firewall)]):
        with sfc.watching(target) as seen:
            assert source.ping(target, PINGS, burst=True)
        copies = sfc.copies(seen, firewall, source)
        assert [packet.is_echo_request for packet in copies] == [True] * PINGS


@pytest.mark.defect("sfc-tap-on-another-node", raises=AssertionError)
def test_a_tap_on_the_other_node(sfc: Sfc, source: Probe, target: Probe, remote: Function) -> None:
    with sfc.chain(source, target, through=[sfc.tap(remote)]):
        with sfc.watching(target) as seen:
            assert source.ping(target, PINGS, burst=True)
        assert len(sfc.copies(seen, remote, source)) == PINGS
