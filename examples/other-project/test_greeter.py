"""A tenant finds the greeter in the catalogue, and is greeted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.mark.smoke
def test_a_tenant_is_greeted(tenant: Tenant, greeter: str) -> None:
    answer = tenant.cloud.session.get(greeter)
    assert answer.text.strip() == "hello from controller-1"
