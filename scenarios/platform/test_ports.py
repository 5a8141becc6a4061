"""Ports: how long one takes from the call of the API to its first packet, on either backend."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn import figures

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

PORTS = 3


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("ports", dhcp=False)


def test_a_port_is_reached_within_seconds(tenant: Tenant, network: Network) -> None:
    here = tenant.probe(network, "controller-1", name="here")
    for _ in range(PORTS):
        began = time.monotonic()
        here.reaches(tenant.probe(network, "compute-1"))
        seconds = time.monotonic() - began
        figures.record("a port, from the API to its first packet", seconds)
        assert seconds < 30 * tenant.patience
