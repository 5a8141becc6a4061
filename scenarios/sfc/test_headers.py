"""What packets carry between functions, and functions that handle it themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.tenant import COMPUTE, CONTROLLER
from pytest_kollalab.system.errors import WaitError

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

PINGS = 5


@pytest.fixture(scope="module")
def headed(tenant: Tenant, sfc: Sfc, cast: object, network: Network) -> list[Function]:
    """Functions that keep the network service header."""
    with tenant.together():
        return [
            sfc.function(network, node, name=f"headed-{number}", keeps="nsh")
            for number, node in enumerate((COMPUTE, COMPUTE, CONTROLLER))
        ]


def test_a_function_gets_and_keeps_the_mpls_label(
    sfc: Sfc, source: Probe, target: Probe, labelled: list[Function]
) -> None:
    aware = labelled[0]
    with sfc.chain(source, target, through=[aware]) as chain:
        with sfc.watching() as seen:
            assert source.ping(target, PINGS, burst=True)
        came = [s.packet for s in seen if (s.device, s.way) == (aware.ingress.device, "in")]
        went = [s.packet for s in seen if (s.device, s.way) == (aware.egress.device, "out")]
        labels = [packet.labels for packet in came if packet.labels]
        assert labels == [(chain.layout.label(0),)] * PINGS
        assert [packet.labels for packet in went if packet.labels] == [
            (chain.layout.label(1),)
        ] * PINGS
    assert sfc.path(source, target) == []


def test_functions_that_keep_the_label_in_a_row(
    sfc: Sfc, source: Probe, target: Probe, labelled: list[Function]
) -> None:
    with sfc.chain(source, target, through=labelled) as chain, chain.counting() as counted:
        assert sfc.path(source, target, PINGS) == labelled
    assert set(counted.delivered.values()) == set(counted.passed_on.values()) == {PINGS}
    assert sfc.path(source, target) == []


def test_answers_through_functions_that_keep_the_label(
    sfc: Sfc, source: Probe, target: Probe, labelled: list[Function]
) -> None:
    through = labelled[:2]
    with sfc.chain(source, target, through, symmetric=True):
        assert sfc.ways(source, target) == (through, through[::-1])


def test_functions_that_keep_the_label_among_others_that_do_not(
    sfc: Sfc,
    source: Probe,
    target: Probe,
    labelled: list[Function],
    firewall: Function,
    nat: Function,
) -> None:
    through = [firewall, labelled[0], nat, labelled[1]]
    with sfc.chain(source, target, through):
        assert sfc.path(source, target) == through


def test_functions_get_and_keep_the_network_service_header(
    sfc: Sfc, source: Probe, target: Probe, headed: list[Function]
) -> None:
    first = headed[0]
    with sfc.chain(source, target, through=headed[:2], header="nsh") as chain:
        with sfc.watching() as seen:
            assert source.ping(target, PINGS, burst=True)
        came = [s.packet for s in seen if (s.device, s.way) == (first.ingress.device, "in")]
        services = [packet.service for packet in came if packet.service]
        assert services == [(chain.number, 255)] * PINGS
        assert sfc.path(source, target) == headed[:2]
    assert sfc.path(source, target) == []


def test_the_network_service_header_crosses_nodes(
    sfc: Sfc, source: Probe, target: Probe, headed: list[Function]
) -> None:
    through = [headed[0], headed[2]]
    with sfc.chain(source, target, through, header="nsh"):
        assert sfc.path(source, target) == through


@pytest.mark.defect("sfc-nsh-is-not-taken-off", raises=WaitError)
def test_the_switch_takes_the_network_service_header_off(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall], header="nsh", within=10):
        assert sfc.path(source, target) == [firewall]
