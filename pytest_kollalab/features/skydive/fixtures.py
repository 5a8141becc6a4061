"""The fixtures of `skydive`: the analyzer of the lab."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.features.lab import LabOfFixtures
    from pytest_kollalab.features.skydive.words import Skydive
    from pytest_kollalab.providers.base import NodesMade


@pytest.fixture(scope="session")
def skydive(openstack_cloud: Connection, kollalab: LabOfFixtures) -> Skydive:
    """The lab's Skydive analyzer. Needs the feature `skydive`."""
    from pytest_kollalab.features.skydive.words import of_lab

    nodes: NodesMade = kollalab.ensure("nodes")
    passwords: Path = kollalab.ensure("cloud").passwords
    return of_lab(nodes.controller.management, passwords, slowness=kollalab.provider.slowness)
