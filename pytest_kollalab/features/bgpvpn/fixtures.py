"""The fixtures of `bgpvpn`: BGP VPNs of a project."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.features.lab import NodeOfFixtures
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="module")
def bgpvpn(tenant: Tenant, lab_nodes: Mapping[str, NodeOfFixtures]) -> Iterator[Bgpvpn]:
    """BGP VPNs of the module's project, and sites outside the cloud. Needs the feature `bgpvpn`."""
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn

    addresses = {name: node.addresses["tunnel"] for name, node in lab_nodes.items()}
    with Bgpvpn(tenant, addresses) as bgpvpn:
        yield bgpvpn
