"""The fixture of the greeter."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from greeter.settings import GreeterSettings
from greeter.words import Greeter

if TYPE_CHECKING:
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@pytest.fixture
def greeter(tenant: Tenant, kollalab: Lab) -> Greeter:
    """The greeter, for the module's tenant; asks for the feature `greeter`."""
    settings = kollalab.config.table("greeter", GreeterSettings)
    return Greeter(tenant, settings.greeting)
