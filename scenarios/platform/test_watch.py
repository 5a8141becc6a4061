"""Traffic over time: what is done to it is told, how long it took, and by what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.ovs.agents import kill
from pytest_kollalab.sdn.ovs.flushing import flush

if TYPE_CHECKING:
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.traffic.watch import TrafficWatch

TOLERANCE = 0.1


@pytest.mark.kollalab_smoke
def test_without_trouble_nothing_is_lost(watch: TrafficWatch, here: Probe, there: Probe) -> None:
    streams = [watch.ping(here, there), watch.udp(there, here), watch.tcp(here, there)]
    with watch(*streams) as seen:
        seen.go_on(3)
    assert {seen[stream].lost for stream in streams} == {0}, str(seen)
    assert all(result.received > 0 for result in seen.values())
    assert {(result.reordered, result.duplicated) for result in seen.values()} == {(0, 0)}


def test_what_ten_streams_cost(watch: TrafficWatch, here: Probe, there: Probe) -> None:
    streams = [
        stream
        for one, other in ((here, there), (there, here))
        for stream in (
            watch.ping(one, other),
            watch.ping(one, other),
            watch.udp(one, other),
            watch.udp(one, other),
            watch.tcp(one, other),
        )
    ]
    with watch(*streams) as seen:
        seen.go_on(20)
    assert seen.lost == 0, str(seen)
    # How much it was is a figure of the session.
    assert seen.processor > 0


@pytest.mark.kollalab_disruptive
def test_a_flow_flush_of_two_seconds_is_told_as_such(
    watch: TrafficWatch, tenant: Tenant, here: Probe, there: Probe
) -> None:
    pings, datagrams = watch.ping(here, there), watch.udp(here, there)
    connection = watch.tcp(here, there)
    with watch(pings, datagrams, connection) as seen:
        planted = flush(tenant.ssh, there.node, "br-int", seconds=2)
        seen.flows_again()
    for stream in (pings, datagrams):
        # What a busy sender could not send is not seen to arrive.
        tolerance = TOLERANCE + seen[stream].paused
        assert seen[stream].longest == pytest.approx(planted, abs=tolerance), str(seen)
        (gap,) = [each for each in seen[stream].gaps if each.lost > 1]
        assert any(
            (each.kind, each.node) == ("flows", there.node) and "br-int" in each.text
            for each in gap.names
        ), str(gap)
    # TCP sends again, with ever longer pauses in between.
    assert seen[connection].lost == 0
    assert seen[connection].longest > planted - TOLERANCE


@pytest.mark.kollalab_disruptive
def test_the_kill_of_an_agent_is_told(
    watch: TrafficWatch, tenant: Tenant, here: Probe, there: Probe
) -> None:
    container = tenant.dataplane.container
    with watch(watch.ping(here, there), watch.udp(there, here)) as seen:
        kill(tenant.ssh, there.node, tenant.dataplane)
        # systemd starts it again.
        seen.go_on(20)
    told = [each for each in seen.happenings if (each.kind, each.node) == ("docker", there.node)]
    mine = [each.text for each in told if each.text.startswith(f"{container} ")]
    assert any("die" in text for text in mine), told
    assert any(text.endswith("start") for text in mine), told


def test_a_floating_ip(watch: TrafficWatch, tenant: Tenant, network: Network, here: Probe) -> None:
    tenant.router(network, external=True)
    address = tenant.floating_ip(here.ports[0].id)
    client = tenant.outside()
    client.reaches(address)
    streams = [
        watch.ping(client, address),
        watch.udp(client, here, to=address),
        watch.tcp(client, here, to=address),
    ]
    with watch(*streams) as seen:
        seen.go_on(3)
    assert all(seen[stream].received > 0 for stream in streams)
    assert seen.lost == 0, str(seen)
