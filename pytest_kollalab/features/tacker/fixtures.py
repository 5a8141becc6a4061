"""The fixtures of `tacker`: VNF packages and VNFs of a project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_kollalab.features.compute.words import Compute
    from pytest_kollalab.features.lab import LabOfFixtures
    from pytest_kollalab.features.tacker.words import Tacker
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture(scope="session")
def make_tacker(kollalab: LabOfFixtures, compute: Compute) -> Callable[[Tenant], Tacker]:
    """A function that returns the `Tacker` of a project, for your own fixtures. Needs `tacker`."""
    from pytest_kollalab.features.tacker.words import Tacker

    image, flavor = compute.image_name, compute.flavor_name
    return lambda tenant: Tacker(tenant, kollalab.paths.cache, image=image, flavor=flavor)


@pytest.fixture(scope="module")
def tacker(tenant: Tenant, make_tacker: Callable[[Tenant], Tacker]) -> Tacker:
    """VNF packages and VNFs in the module's project. Needs the feature `tacker`."""
    return make_tacker(tenant)
