"""A tenant finds the greeter in the catalogue, and is greeted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from greeter.words import Greeter


@pytest.mark.kollalab_smoke
def test_a_tenant_is_greeted(greeter: Greeter) -> None:
    greeter.greets("controller-1")
