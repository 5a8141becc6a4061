"""A real server: it boots on the compute node, knows who it is, and is reached from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.compute.words import Compute
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.server import Server
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    network = tenant.network("servers")
    tenant.router(network, external=True)
    return network


@pytest.fixture(scope="module")
def server(tenant: Tenant, compute: Compute, network: Network) -> Server:
    server = tenant.server(
        network, "compute-1", name="web", user_data="#!/bin/sh\necho user data ran\n"
    )
    server.give_floating_ip()
    return server


@pytest.mark.kollalab_smoke
def test_it_is_reached_over_ssh_from_outside(server: Server) -> None:
    assert server.ip in server.ssh(["ip", "-4", "address", "show", "eth0"]).stdout


def test_it_took_its_mtu(server: Server, network: Network) -> None:
    assert f"mtu {network.mtu}" in server.ssh(["ip", "link", "show", "eth0"]).stdout


def test_it_has_its_metadata(server: Server) -> None:
    assert server.ssh(["hostname"]).stdout.strip().endswith("web")
    assert "user data ran" in server.console(200)


def test_it_talks_to_a_probe_on_the_other_node(
    tenant: Tenant, network: Network, server: Server
) -> None:
    probe = tenant.probe(network, "controller-1", name="neighbour")
    probe.reaches(server)
    assert probe.ping(server)
    assert probe.ask("tcp", server, 7, "hello").answer == "hello"
    assert server.ssh(["hostname"], via=probe).stdout.strip().endswith("web")


def test_it_reaches_the_world_outside(tenant: Tenant, server: Server) -> None:
    outside = tenant.outside()
    server.ssh(["ping", "-c", "3", outside.ip])
