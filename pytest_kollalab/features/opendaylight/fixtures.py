"""The fixtures of `opendaylight`: the BGP controller of the lab."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.features.lab import LabOfFixtures
    from pytest_kollalab.features.opendaylight.words import OpenDaylight
    from pytest_kollalab.providers.base import NodesMade


@pytest.fixture(scope="module")
def opendaylight(bgpvpn: Bgpvpn, kollalab: LabOfFixtures) -> Iterator[OpenDaylight]:
    """The lab's BGP controller; `bgpvpn` has it as the oracle `opendaylight`.

    What a module injects is withdrawn with it. Needs the feature `opendaylight`.
    """
    from pytest_kollalab.features.opendaylight.restconf import of_lab
    from pytest_kollalab.features.opendaylight.words import OPENDAYLIGHT, OpenDaylight
    from pytest_kollalab.sdn.tenant.tenant import CONTROLLER

    nodes: NodesMade = kollalab.ensure("nodes")
    passwords: Path = kollalab.ensure("cloud").passwords
    restconf = of_lab(nodes.controller.management, passwords)
    tenant = bgpvpn.tenant
    with OpenDaylight(
        restconf, tenant.ssh, CONTROLLER, owner=tenant.name, patience=tenant.patience
    ) as found:
        bgpvpn.oracles[OPENDAYLIGHT] = found
        yield found
        del bgpvpn.oracles[OPENDAYLIGHT]
