"""The addresses of sites in the data centre."""

from __future__ import annotations

import pytest

from pytest_kollalab.features.bgpvpn.site import free_prefix
from pytest_kollalab.system.errors import KollalabError

ALL = {f"192.168.{number}.10/32" for number in range(1, 255)}


def test_a_site_has_an_address_that_no_other_has() -> None:
    taken: set[str] = set()
    while taken != ALL:
        prefix = free_prefix(taken)
        host = f"{prefix.removesuffix('.0/24')}.10/32"
        assert host in ALL - taken
        taken.add(host)


def test_routes_of_others_do_not_count() -> None:
    taken = (ALL - {"192.168.77.10/32"}) | {"192.168.77.11/32", "10.200.1.10/32"}
    assert free_prefix(taken) == "192.168.77.0/24"


def test_there_are_no_more_than_there_are_prefixes() -> None:
    with pytest.raises(KollalabError, match="254 sites already") as caught:
        free_prefix(ALL)
    assert "remove those" in caught.value.hint
