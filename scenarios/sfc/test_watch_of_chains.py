"""Traffic through a chain over time: what is lost at its function, and what goes around it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.ovs.flushing import flush

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.traffic.watch import TrafficWatch

TOLERANCE = 0.1


def test_all_packets_cross_the_functions(
    sfc: Sfc,
    watch: TrafficWatch,
    source: Probe,
    far: Probe,
    firewall: Function,
    remote: Function,
) -> None:
    through = [firewall, remote]
    with sfc.chain(source, far, through, symmetric=True):
        streams = [
            watch.ping(source, far, through=through, symmetric=True),
            watch.udp(source, far, through=through),
            watch.tcp(source, far, through=through),
        ]
        with watch(*streams) as seen:
            seen.go_on(3)
    assert (seen.lost, seen.bypassed) == (0, 0), str(seen)
    for stream in streams[:2]:
        saw = [(each.saw, each.passed_on) for each in seen[stream].crossings]
        assert saw == [(seen[stream].sent,) * 2] * 2


def test_a_function_that_is_taken_away_loses_packets_and_none_goes_around(
    sfc: Sfc, watch: TrafficWatch, source: Probe, target: Probe, firewall: Function
) -> None:
    with sfc.chain(source, target, through=[firewall]):
        stream = watch.udp(source, target, through=[firewall])
        with watch(stream) as seen:
            seen.note("the function is gone")
            with firewall.dead():
                seen.go_on(1)
            seen.flows_again()
    result = seen[stream]
    assert result.bypassed == 0
    assert result.longest > 1 - TOLERANCE
    assert any("the function is gone" in str(gap) for gap in result.gaps), str(seen)


@pytest.mark.kollalab_disruptive
def test_packets_around_a_function_are_counted(
    sfc: Sfc,
    tenant: Tenant,
    watch: TrafficWatch,
    source: Probe,
    target: Probe,
    firewall: Function,
) -> None:
    with sfc.chain(source, target, through=[firewall]):
        pings = watch.ping(source, target, through=[firewall])
        datagrams = watch.udp(source, target, through=[firewall])
        with watch(pings, datagrams) as seen:
            # Without its classifier the chain is not there, and packets take the direct way.
            planted = flush(tenant.ssh, source.node, "br-int", holding=source.device, seconds=1)
            seen.flows_again()
    for stream in (pings, datagrams):
        result = seen[stream]
        assert result.bypassed == pytest.approx(planted / seen.interval, abs=5), str(seen)
        (span,) = result.bypasses
        assert span.seconds == pytest.approx(planted, abs=TOLERANCE)
