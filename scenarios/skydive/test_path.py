"""The hops that packets take through a chain are observed, and are those that were asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.topology.topology import await_port, path

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.features.skydive.words import Skydive
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.topology.local import Local
    from pytest_kollalab.sdn.topology.topology import Hop

PINGS = 3


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("path", dhcp=False)


@pytest.fixture(scope="module")
def source(tenant: Tenant, network: Network) -> Probe:
    return tenant.probe(network, "compute-1", name="source")


@pytest.fixture(scope="module")
def functions(sfc: Sfc, network: Network) -> tuple[Function, Function]:
    return (
        sfc.function(network, "compute-1", name="firewall"),
        sfc.function(network, "controller-1", name="counter"),
    )


@pytest.fixture(scope="module")
def target(
    skydive: Skydive,
    tenant: Tenant,
    network: Network,
    source: Probe,
    functions: tuple[Function, Function],
) -> Probe:
    probe = tenant.probe(network, "controller-1", name="target")
    source.reaches(probe)
    for port in (*source.ports, *probe.ports, *(p for f in functions for p in f.ports)):
        await_port(skydive, port.id)
    return probe


def names(hops: list[Hop]) -> list[str]:
    """The devices of hops, each passed by every ping."""
    assert {hop.packets for hop in hops} == {PINGS}
    return [hop.port.name for hop in hops]


def expected(source: Probe, through: tuple[Function, ...], target: Probe) -> list[str]:
    """The devices that a chain leads by, in order."""
    inner = [port.device for function in through for port in (function.ingress, function.egress)]
    return [source.device, *inner, target.device]


def test_without_a_chain_packets_go_straight(
    skydive: Skydive, source: Probe, target: Probe
) -> None:
    assert names(path(skydive, source, target, PINGS)) == expected(source, (), target)


def test_the_hops_of_a_chain_are_seen_in_order(
    skydive: Skydive,
    sfc: Sfc,
    source: Probe,
    target: Probe,
    functions: tuple[Function, Function],
) -> None:
    for through in (functions[:1], functions, functions[::-1]):
        with sfc.chain(source, target, through=through):
            hops = path(skydive, source, target, PINGS)
            assert names(hops) == expected(source, through, target)
            by_ingress = {f.ingress.device: f for f in functions}
            crossed = [by_ingress[h.port.name] for h in hops if h.port.name in by_ingress]
            assert crossed == sfc.path(source, target, PINGS) == list(through)


def test_every_function_is_a_hop_of_the_ttl(
    skydive: Skydive,
    sfc: Sfc,
    source: Probe,
    target: Probe,
    functions: tuple[Function, Function],
) -> None:
    with sfc.chain(source, target, through=functions):
        ttls = [hop.ttl for hop in path(skydive, source, target, PINGS)]
    assert ttls == [64, 64, 63, 63, 62, 62]


def test_the_nodes_themselves_see_the_same_path(
    skydive: Skydive,
    local_view: Local,
    sfc: Sfc,
    source: Probe,
    target: Probe,
    functions: tuple[Function, Function],
) -> None:
    with sfc.chain(source, target, through=functions):
        assert names(path(local_view, source, target, PINGS)) == names(
            path(skydive, source, target, PINGS)
        )
