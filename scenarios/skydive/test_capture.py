"""What passes a point is seen there: by a capture of Skydive, by tcpdump, by who is alerted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.probe import webhook
from pytest_kollalab.sdn.topology.topology import await_gone, await_port
from pytest_kollalab.system import wait

if TYPE_CHECKING:
    from pytest_kollalab.features.skydive.words import Skydive
    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.topology.local import Local
    from pytest_kollalab.sdn.topology.topology import BridgePort

PINGS = 5
# A TAP device of that name, for as long as this runs.
TAP = """\
import fcntl, os, signal, struct, subprocess, sys

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
name = sys.argv[1]
tap = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
subprocess.run(["ip", "link", "set", name, "up"], check=True)
print("ready", file=sys.stderr, flush=True)
signal.pause()
"""


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("captured", dhcp=False)


@pytest.fixture(scope="module")
def source(tenant: Tenant, network: Network) -> Probe:
    return tenant.probe(network, "controller-1", name="source")


@pytest.fixture(scope="module")
def target(tenant: Tenant, network: Network, source: Probe) -> Probe:
    probe = tenant.probe(network, "compute-1", name="target")
    source.reaches(probe)
    return probe


@pytest.fixture(scope="module")
def ends(skydive: Skydive, source: Probe, target: Probe) -> tuple[BridgePort, BridgePort]:
    """Where the two probes are plugged in."""
    return (
        await_port(skydive, source.ports[0].id),
        await_port(skydive, target.ports[0].id),
    )


def test_a_ping_is_seen_at_both_ends_with_equal_counts(
    skydive: Skydive, source: Probe, target: Probe, ends: tuple[BridgePort, BridgePort]
) -> None:
    with skydive.watch(ends, "icmp") as sight:
        assert source.ping(target, PINGS)
    for end in ends:
        (flow,) = sight.flows(end)
        assert flow.protocol == "icmp"
        assert flow.between(source.ip, target.ip) == (PINGS, PINGS)


def test_a_capture_sees_what_it_asks_for_only(
    skydive: Skydive, source: Probe, target: Probe, ends: tuple[BridgePort, BridgePort]
) -> None:
    with skydive.watch(ends, "udp and port 7777") as sight:
        assert source.ping(target, PINGS)
        assert source.udp_echo(target, port=7777)
        assert source.udp_echo(target, port=8888)
    for end in ends:
        (flow,) = sight.flows(end)
        assert flow.protocol == "udp"
        assert flow.between(source.ip, target.ip) == (1, 1)


def test_both_collectors_see_the_same_flows(
    skydive: Skydive,
    local_view: Local,
    source: Probe,
    target: Probe,
    ends: tuple[BridgePort, BridgePort],
) -> None:
    with skydive.watch(ends, "icmp") as one, local_view.watch(ends, "icmp") as other:
        assert source.ping(target, PINGS)
    for end in ends:
        assert one.flows(end) == other.flows(end)
        assert [(p.src, p.dst, p.ttl) for p in one.packets(end)] == [
            (p.src, p.dst, p.ttl) for p in other.packets(end)
        ]


def test_a_device_that_only_the_kernel_tells_of_is_captured(
    skydive: Skydive, source: Probe
) -> None:
    # Skydive sees ports of Open vSwitch in user space like this if netlink reports them last.
    device = "kl-tap"
    argv = ["python3", "tap.py", device]
    with source.namespace.background("tap", argv, ready="^ready", files={"tap.py": TAP}):
        query = f"G.V().Has('Name', '{device}', 'Type', 'tuntap')"
        (node,) = wait.until(
            "the device to be seen", lambda: skydive.gremlin(query), timeout=skydive.within
        )
        with skydive.capture(query) as capture:
            skydive.await_captured(capture, {node["Metadata"]["TID"]})


def test_injected_packets_arrive(
    skydive: Skydive, source: Probe, target: Probe, ends: tuple[BridgePort, BridgePort]
) -> None:
    with target.capture(f"icmp and src {source.ip}") as seen:
        skydive.inject(*ends, count=PINGS, number=4711)
    assert len(seen.packets.requests) == PINGS
    assert {packet.src_mac for packet in seen.packets.requests} == {source.mac}
    assert {packet.ident for packet in seen.packets.requests} == {4711}


def test_an_alert_fires_when_it_comes_true_and_stops(
    skydive: Skydive, tenant: Tenant, network: Network, lab_nodes: Mapping[str, Node]
) -> None:
    wanted = f"G.V().Has('Neutron.NetworkID', '{network.id}', 'MTU', 1337)"
    probe = tenant.probe(network, "compute-1", name="alerting")
    with (
        webhook.listening(tenant.ssh, "controller-1") as called,
        skydive.alert(wanted, called.url) as alert,
    ):
        assert called.calls() == []
        probe.namespace.run(["ip", "link", "set", probe.device, "mtu", "1337"])
        calls = called.await_calls(1, within=10 * tenant.patience)
        assert {call["UUID"] for call in calls} == {alert}
        assert "1337" in str(calls[0]["ReasonData"])

        probe.namespace.run(["ip", "link", "set", probe.device, "mtu", "1400"])
        tenant.remove(probe)
        await_gone(skydive, probe.ports[0].id)
        before = len(called.calls())
        # The graph changes again, but the alert's expression does not become true.
        other = tenant.probe(network, "compute-1", name="quiet")
        await_port(skydive, other.ports[0].id)
        assert len(called.calls()) == before
