"""The fixtures of `sfc`: service function chains of a project."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.features.lab import LabOfFixtures
    from pytest_kollalab.features.sfc.words import Sfc
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="session")
def make_sfc(kollalab: LabOfFixtures, request: pytest.FixtureRequest) -> Callable[[Tenant], Sfc]:
    """A function that returns the `Sfc` of a project, for your own fixtures. Needs `sfc`."""
    from pytest_kollalab.features.sfc.words import Sfc

    guests = kollalab.options.guests
    if guests == "server":
        # Servers need the guest image and the flavor in the cloud.
        request.getfixturevalue("compute")
    return lambda tenant: Sfc(tenant, guests=guests)


@pytest.fixture(scope="module")
def sfc(tenant: Tenant, make_sfc: Callable[[Tenant], Sfc]) -> Iterator[Sfc]:
    """Service function chaining in the module's project. Needs the feature `sfc`."""
    with make_sfc(tenant) as sfc:
        yield sfc
