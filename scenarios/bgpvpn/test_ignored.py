"""What the API accepts and BGP has to announce, although networking-bagpipe does not."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.system.errors import WaitError

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends

# The first AS number that needs four bytes.
FOUR_BYTES = 2**16
# The default local preference.
DEFAULT = 100


@pytest.mark.defect("bgpvpn-targets-of-two-kinds-are-malformed", raises=WaitError)
@pytest.mark.parametrize("administrator", [str(FOUR_BYTES), "192.0.2.1"])
def test_a_route_target_of_another_kind(bgpvpn: Bgpvpn, ends: Ends, administrator: str) -> None:
    rt = f"{administrator}:{random.randrange(1, 2**16)}"
    with bgpvpn.l3(rt) as vpn:
        vpn.join(ends.left)
        assert rt in bgpvpn.announced(ends.near, within=10).targets


def test_a_preference_of_one(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3(local_pref=1) as vpn:
        vpn.join(ends.left)
        assert bgpvpn.announced(ends.near).local_pref == 1


@pytest.mark.defect("bgpvpn-preference-zero-is-the-default", raises=AssertionError)
def test_a_preference_of_zero(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3(local_pref=0) as vpn:
        vpn.join(ends.left)
        assert bgpvpn.announced(ends.near).local_pref == 0


def test_a_preference_of_zero_is_announced_as_the_default(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3(local_pref=0) as vpn:
        vpn.join(ends.left)
        assert bgpvpn.announced(ends.near).local_pref == DEFAULT


@pytest.mark.defect("bgpvpn-one-preference-for-all-vpns-of-a-network", raises=AssertionError)
def test_each_vpn_of_a_network_has_its_preference(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3(local_pref=50) as low, bgpvpn.l3(local_pref=200) as high:
        for vpn in (low, high):
            vpn.join(ends.left)
            vpn.wait_converged()
        found = {rt: route.local_pref for route in bgpvpn.rib(ends.near) for rt in route.targets}
        assert found == {low.rt[0]: 50, high.rt[0]: 200}


def test_two_vpns_of_a_network_have_one_route(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3(local_pref=50) as low, bgpvpn.l3(local_pref=200) as high:
        for vpn in (low, high):
            vpn.join(ends.left)
            vpn.wait_converged()
        (route,) = bgpvpn.rib(ends.near)
        assert route.targets == {*low.rt, *high.rt}
        assert route.local_pref == 200
