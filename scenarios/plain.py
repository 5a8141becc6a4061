"""A network with a probe on each node, for scenarios that need no more."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def network(tenant: Tenant) -> Network:
    return tenant.network("data", dhcp=False)


@pytest.fixture(scope="module")
def here(tenant: Tenant, network: Network) -> Probe:
    return tenant.probe(network, "controller-1", name="here")


@pytest.fixture(scope="module")
def there(tenant: Tenant, network: Network, here: Probe) -> Probe:
    probe = tenant.probe(network, "compute-1", name="there")
    here.reaches(probe)
    return probe
