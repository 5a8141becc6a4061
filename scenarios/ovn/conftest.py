"""What the scenarios of OVN share: a probe on each node, and some that security groups filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.guards import Guards
from scenarios.plain import here, network, there  # noqa: F401

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture
def guards(tenant: Tenant) -> Guards:
    return Guards(tenant)
