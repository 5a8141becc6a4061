"""The fixtures of `compute`: the image and the flavor of servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.features.compute.words import Compute
    from pytest_kollalab.features.lab import LabOfFixtures


@pytest.fixture(scope="session")
def compute(openstack_cloud: Connection, kollalab: LabOfFixtures) -> Iterator[Compute]:
    """The guest image and the flavor of servers. Needs the feature `compute`."""
    from pytest_kollalab.features.compute.words import Compute

    compute = Compute(openstack_cloud, kollalab.paths, kollalab.options)
    yield compute
    if kollalab.options.cloud:
        compute.remove()
