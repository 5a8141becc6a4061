"""What the API accepts and the dataplane has to do, although networking-sfc does not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.tenant import COMPUTE
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

FLOWS = 200
WEIGHT = 20
# A label has 20 bits, and the lowest 8 are the step in the chain.
FIRST_TOO_LARGE, END_OF_NUMBERS = 4096, 65536
LOWEST, HIGHEST = 8000, 8009


# Numbers are the whole cloud's, where others may be at work.
def test_a_number_that_fits_a_label(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    number = random.randrange(FIRST_TOO_LARGE // 2, FIRST_TOO_LARGE)
    with sfc.chain(source, target, through=[firewall], number=number):
        assert sfc.path(source, target) == [firewall]


@pytest.mark.defect("sfc-number-that-does-not-fit-a-label", raises=WaitError)
def test_a_number_that_does_not_fit_a_label(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    number = random.randrange(FIRST_TOO_LARGE, END_OF_NUMBERS)
    with sfc.chain(source, target, through=[firewall], number=number, within=10):
        assert sfc.path(source, target) == [firewall]


def test_packets_are_lost_when_a_number_does_not_fit(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    led = sfc.ask("flow_classifier", **sfc.traffic(source, target).classifier())
    group = sfc.group(firewall)
    number = random.randrange(FIRST_TOO_LARGE, END_OF_NUMBERS)
    sfc.ask("port_chain", flow_classifiers=[led], port_pair_groups=[group.id], chain_id=number)

    def look() -> bool | NotYet:
        answered = source.ping(target, 3)
        return answered.received == 0 or NotYet(str(answered))

    wait.until("pings to be lost", look, timeout=30 * sfc.tenant.patience)
    assert source.ping(target, 3).received == 0


@pytest.mark.defect("sfc-weights-are-ignored", raises=AssertionError)
def test_a_weight_brings_more_flows(
    sfc: Sfc, network: Network, source: Probe, target: Probe, firewall: Function
) -> None:
    strong = sfc.function(network, COMPUTE, name="strong", weight=WEIGHT)
    with sfc.chain(source, target, through=[[firewall, strong]]):
        share = sfc.share(source, target, FLOWS)
        assert len(share[strong]) > WEIGHT / 4 * len(share.get(firewall, ()))


@pytest.mark.defect("sfc-fields-of-load-balancing-are-ignored", raises=AssertionError)
def test_addresses_alone_choose_the_function(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function, nat: Function
) -> None:
    with (
        sfc.group(firewall, nat, balance_by=["ip_src", "ip_dst"]) as group,
        sfc.chain(source, target, through=[group]),
    ):
        assert len(sfc.share(source, target, FLOWS)) == 1


def test_a_range_of_ports(sfc: Sfc, source: Probe, target: Probe, firewall: Function) -> None:
    asked = [LOWEST - 1, LOWEST, HIGHEST, HIGHEST + 1]
    assert led(sfc, source, target, firewall, (LOWEST, HIGHEST), asked) == 2


@pytest.mark.defect("sfc-lowest-port-alone-has-no-end", raises=AssertionError)
def test_a_lowest_port_alone_is_that_port(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    asked = [LOWEST - 1, LOWEST, LOWEST + 1, 65535]
    assert led(sfc, source, target, firewall, (LOWEST, None), asked) == 1


def test_a_lowest_port_alone_leads_no_port_below(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    asked = [1, LOWEST - 1, LOWEST]
    assert led(sfc, source, target, firewall, (LOWEST, None), asked) == 1


@pytest.mark.defect("sfc-port-zero-is-every-port", raises=AssertionError)
def test_port_zero_is_no_other_port(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    assert led(sfc, source, target, firewall, (0, 0), [1, LOWEST, 65535]) == 0


def led(
    sfc: Sfc,
    source: Probe,
    target: Probe,
    function: Function,
    ports: tuple[int | None, int | None],
    asked: list[int],
) -> int:
    """Send one packet to each port in `asked`; return how many a chain leads to the function."""
    with (
        sfc.chain(source, target, through=[function], protocol="udp", ports=ports) as chain,
        chain.counting() as counted,
    ):
        for port in asked:
            assert source.udp_echo(target, port=port).name == target.name
    return counted.delivered[function]


@pytest.fixture
def two_addresses(tenant: Tenant, network: Network) -> Probe:
    """An end whose port has two addresses, so that neither can replace a missing prefix."""
    probe = tenant.probe(network, COMPUTE, name="two-addresses")
    addresses = [{"ip_address": probe.ip}, {"subnet_id": network.subnet_id}]
    tenant.admin.network.update_port(probe.ports[0].id, fixed_ips=addresses)
    return probe


def test_a_chain_of_a_source_prefix_alone(
    sfc: Sfc, source: Probe, target: Probe, far: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall], anywhere=True):
        assert sfc.ways(source, target) == ([firewall], [])
        assert sfc.ways(source, far) == ([firewall], [])


def test_a_symmetric_chain_of_a_source_prefix_alone(
    sfc: Sfc, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall], anywhere=True, symmetric=True):
        assert sfc.ways(source, target) == ([firewall], [firewall])


@pytest.mark.defect("sfc-answers-need-both-prefixes", raises=WaitError)
def test_a_symmetric_chain_of_a_source_prefix_alone_to_two_addresses(
    sfc: Sfc, source: Probe, two_addresses: Probe, firewall: Function
) -> None:
    with sfc.chain(
        source, two_addresses, through=[firewall], anywhere=True, symmetric=True, within=10
    ):
        assert sfc.ways(source, two_addresses) == ([firewall], [firewall])
