"""What a chain leads: just what its classifiers say, be it one or several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.tenant import COMPUTE
from pytest_kollalab.system.errors import WaitError

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network

PINGS = 5


def test_several_classifiers_lead_into_one_chain(
    sfc: Sfc, source: Probe, far: Probe, firewall: Function
) -> None:
    back = [sfc.traffic(far, source)]
    with (
        sfc.chain(source, far, through=[firewall], also=back) as chain,
        chain.counting() as counted,
    ):
        assert sfc.ways(source, far, PINGS) == ([firewall], [firewall])
        assert sfc.ways(far, source, PINGS) == ([firewall], [firewall])
    assert counted.classified == counted.delivered[firewall] == 4 * PINGS
    assert sfc.ways(source, far) == ([], [])


def test_several_classifiers_lead_into_one_symmetric_chain(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    back = [sfc.traffic(target, source)]
    # Chains with two sources on one node leave flows behind, which a test below shows.
    with sfc.chain(source, target, through=[firewall], also=back, symmetric=True):
        assert sfc.ways(source, target) == ([firewall], [firewall])
        assert sfc.ways(target, source) == ([firewall], [firewall])
    assert sfc.ways(source, target) == ([], [])
    assert sfc.ways(target, source) == ([], [])


# Which direction lacks its flow depends on the order of the classifiers, by their random ids.
@pytest.mark.defect("sfc-symmetric-classifiers-on-two-nodes")
def test_several_classifiers_lead_into_one_symmetric_chain_between_nodes(
    sfc: Sfc, source: Probe, far: Probe, firewall: Function
) -> None:
    back = [sfc.traffic(far, source)]
    with sfc.chain(source, far, through=[firewall], also=back, symmetric=True):
        assert sfc.ways(source, far) == ([firewall], [firewall])


@pytest.mark.defect("sfc-two-sources-on-one-node-leave-flows", raises=WaitError)
def test_classifiers_of_two_sources_on_one_node_leave_nothing(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    back = [sfc.traffic(target, source)]
    with sfc.chain(source, target, through=[firewall], also=back) as chain:
        assert sfc.ways(source, target) == ([firewall], [firewall])
        chain.withdraw()
        chain.wait_gone(timeout=10)


def test_only_the_port_that_was_asked_for_is_led(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall], protocol="tcp", port=7777):
        with sfc.watching(source, target) as seen:
            assert source.tcp_echo(target, port=7777).name == target.name
            assert source.tcp_echo(target, port=8888).name == target.name
            assert source.udp_echo(target, port=7777).name == target.name
        led = [each.packet for each in seen if each.device == firewall.ingress.device]
        led = [packet for packet in led if packet.dst == target.ip]
        assert {(packet.protocol, packet.dport) for packet in led} == {("tcp", 7777)}
        assert sfc.path(source, target) == []


def test_only_the_protocol_that_was_asked_for_is_led(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall], protocol="icmp"):
        assert sfc.path(source, target) == [firewall]
        before = firewall.forwarded()
        assert source.tcp_echo(target)
        assert source.udp_echo(target)
        assert firewall.forwarded() == before


def test_two_ports_of_one_pair_of_hosts_take_two_chains(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    # The chain that is deleted last leaves flows behind, which the next test shows.
    with (
        sfc.chain(source, target, through=[firewall], protocol="udp", port=53) as names,
        sfc.chain(source, target, through=[nat], protocol="udp", port=123) as times,
        names.counting() as asked,
        times.counting() as told,
    ):
        assert source.udp_echo(target, port=53).name == target.name
        assert source.udp_echo(target, port=123).name == target.name
        assert source.udp_echo(target, port=123).name == target.name
    assert (asked.classified, asked.passed_on[firewall]) == (1, 1)
    assert (told.classified, told.passed_on[nat]) == (2, 2)


@pytest.mark.defect("sfc-two-chains-of-one-source-leave-flows", raises=WaitError)
def test_two_chains_of_one_source_leave_nothing(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with sfc.chain(source, target, through=[firewall], protocol="udp", port=53) as names:
        with sfc.chain(source, target, through=[nat], protocol="udp", port=123):
            pass
        names.withdraw()
        names.wait_gone(timeout=10)


def test_others_than_the_source_are_not_led(
    sfc: Sfc, source: Probe, target: Probe, far: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]):
        assert sfc.ways(far, target) == ([], [])
        assert sfc.ways(source, far) == ([], [])


def test_a_firewall_in_the_chain_drops_a_port(
    sfc: Sfc, network: Network, source: Probe, target: Probe, nat: Function
) -> None:
    wall = sfc.function(network, COMPUTE, name="wall", guest="probe")
    with sfc.chain(source, target, through=[wall, nat]), target.listening("tcp", 8888):
        assert source.ask("tcp", target, 8888)
        with wall.dropping("tcp", 8888):
            assert source.ask("tcp", target, 8888, timeout=1).error == "timed out"
            assert source.tcp_echo(target, port=7777).name == target.name
        assert source.ask("tcp", target, 8888)
