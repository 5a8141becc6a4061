"""Opt-in: what a test makes in its tenant goes with the test, not with its module.

A project that wants this has `pytest_plugins = ["pytest_kollalab.plugin.parts"]` in its uppermost
`conftest.py`, or `-p pytest_kollalab.plugin.parts` among its options.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(autouse=True)
def one_part_for_each_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove what a test made in its tenant, in reverse order, when the test ends."""
    if "tenant" not in request.fixturenames:
        yield
        return
    tenant: Tenant = request.getfixturevalue("tenant")
    with tenant.part():
        yield
