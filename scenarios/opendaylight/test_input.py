"""What makes no route is refused with the reason, and nothing is injected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.features.opendaylight.restconf import Restconf
from pytest_kollalab.features.opendaylight.words import INJECTED, NotInjectedError
from pytest_kollalab.system.errors import ConfigError, KollalabError

if TYPE_CHECKING:
    from pytest_kollalab.features.opendaylight.words import OpenDaylight

PREFIX = "172.29.0.0/24"
GOOD: dict[str, Any] = {
    "prefix": PREFIX,
    "rt": "64512:70001",
    "next_hop": "192.0.2.9",
    "label": 17,
}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"prefix": "172.29.0.1/24"}, "is no IPv4 prefix"),
        ({"prefix": "2001:db8::/64"}, "is no IPv4 prefix"),
        ({"rt": "public"}, "'public' is no route target"),
        ({"rt": ()}, "has no route target"),
        ({"next_hop": "gateway-1"}, "is no IPv4 address"),
        ({"label": 1048576}, "is no MPLS label"),
        ({"rd": "64512"}, "is no route distinguisher"),
        ({"local_pref": -1}, "is no local preference"),
    ],
)
def test_an_argument_that_makes_no_route(
    opendaylight: OpenDaylight, given: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        opendaylight.inject(**(GOOD | given))
    assert PREFIX not in {route.prefix for route in opendaylight.injected()}


def test_what_was_not_injected_is_not_withdrawn(opendaylight: OpenDaylight) -> None:
    with pytest.raises(NotInjectedError, match=f"no route to {PREFIX}"):
        opendaylight.withdraw(PREFIX)


def test_a_route_is_withdrawn_once(opendaylight: OpenDaylight) -> None:
    made = opendaylight.inject(**GOOD)
    opendaylight.withdraw(made)
    with pytest.raises(NotInjectedError):
        opendaylight.withdraw(made)
    made.delete()


def test_without_the_password_nothing_is_told(opendaylight: OpenDaylight) -> None:
    for password in ("admin", "", "x"):
        stranger = Restconf(opendaylight.restconf.url, "admin", password)
        with pytest.raises(KollalabError, match="answers 401"):
            stranger.ask("GET", "bgp-rib:bgp-rib")


def test_what_opendaylight_itself_refuses_is_told_in_its_words(
    opendaylight: OpenDaylight,
) -> None:
    with pytest.raises(KollalabError) as told:
        opendaylight.restconf.ask("POST", INJECTED, {"bgp-vpn-ipv4:vpn-route": [{"nothing": 1}]})
    assert "nothing" in told.value.details
