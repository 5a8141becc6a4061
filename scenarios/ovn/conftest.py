"""What the scenarios of OVN share: probes whose traffic security groups filter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.guards import Guards

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture
def guards(tenant: Tenant) -> Guards:
    return Guards(tenant)
