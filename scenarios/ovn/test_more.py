"""What OVN has and Neutron's API has no word for: load balancers and mirrors."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.capture import tunnel_capture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

# In no network: the client sends it to its router.
SERVICE, PORT, BEHIND = "198.51.100.100", 80, 8080
CONNECTIONS = 20


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("clients", dhcp=False)


@pytest.fixture(scope="module")
def client(tenant: Tenant, network: Network) -> Probe:
    return tenant.probe(network, "controller-1", name="client")


@pytest.fixture(scope="module")
def servers(tenant: Tenant, network: Network, client: Probe) -> tuple[Probe, Probe]:
    other = tenant.network("servers", dhcp=False)
    tenant.router(network, other)
    one = tenant.probe(other, "controller-1", name="one")
    two = tenant.probe(other, "compute-1", name="two")
    for server in (one, two):
        client.reaches(server)
    return one, two


def test_connections_are_shared_among_servers(
    ovn: Ovn, network: Network, client: Probe, servers: tuple[Probe, Probe]
) -> None:
    one, two = servers
    with (
        ovn.balanced(network, SERVICE, PORT, [(one, BEHIND), (two, BEHIND)]),
        one.listening("tcp", BEHIND),
        two.listening("tcp", BEHIND),
    ):
        answers = [client.ask("tcp", SERVICE, PORT) for _ in range(CONNECTIONS)]
        changed = [each for each in ovn.connections("controller-1") if each.dst == SERVICE]
        for server in servers:
            found = ovn.trace(client, SERVICE, "tcp", port=PORT, backend=f"{server.ip}:{BEHIND}")
            assert found.ports == (server.ports[0].id,)
    assert all(answers)
    shares = Counter(answer.name for answer in answers)
    assert set(shares) == {"one", "two"}
    assert {each.back_from for each in changed} == {one.ip, two.ip}


def test_a_connection_stays_with_its_server(
    ovn: Ovn, network: Network, client: Probe, servers: tuple[Probe, Probe]
) -> None:
    one, two = servers
    with (
        ovn.balanced(network, SERVICE, PORT, [(one, BEHIND), (two, BEHIND)], protocol="udp"),
        one.listening("udp", BEHIND),
        two.listening("udp", BEHIND),
    ):
        answers = [client.ask("udp", SERVICE, PORT, source_port=40123) for _ in range(5)]
    assert all(answers)
    assert len({answer.name for answer in answers}) == 1


def test_without_the_balancer_nobody_answers(
    ovn: Ovn, network: Network, client: Probe, servers: tuple[Probe, Probe]
) -> None:
    one, _ = servers
    with one.listening("tcp", BEHIND):
        with ovn.balanced(network, SERVICE, PORT, [(one, BEHIND)]):
            assert client.ask("tcp", SERVICE, PORT)
        assert not client.ask("tcp", SERVICE, PORT, timeout=2)


@pytest.mark.parametrize("way", ["to-lport", "from-lport"])
def test_a_mirror_carries_one_way_to_another_node(
    ovn: Ovn,
    tenant: Tenant,
    lab_nodes: Mapping[str, Node],
    client: Probe,
    servers: tuple[Probe, Probe],
    way: str,
) -> None:
    _, two = servers
    sink = lab_nodes["controller-1"].addresses["tunnel"]
    src, dst = (client, two) if way == "to-lport" else (two, client)
    with (
        ovn.mirrored(two.ports[0].id, sink, ways=way),
        tunnel_capture.watched(tenant.ssh, "controller-1") as seen,
    ):
        assert client.ping(two, 3)
    assert len(seen.packets.between(src.ip, dst.ip)) >= 3
    assert not seen.packets.between(dst.ip, src.ip)
