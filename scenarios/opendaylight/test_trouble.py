"""OpenDaylight or the reflector goes: what was injected comes back without help."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.opendaylight.feature import OWN
from pytest_kollalab.system.errors import KollalabError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kollalab.features.bgpvpn.site import Site
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.features.opendaylight.words import Injected, OpenDaylight
    from scenarios.opendaylight.conftest import Way

    Inject = Callable[..., Injected]

pytestmark = pytest.mark.kollalab_disruptive

BEHIND, HOST = "172.31.0.0/24", "172.31.0.1"


@pytest.fixture(scope="module")
def site(bgpvpn: Bgpvpn, vpn: Vpn) -> Site:
    site = bgpvpn.site("archive", rt=vpn.rt)
    site.own(HOST)
    return site


@pytest.fixture(autouse=True)
def all_is_well_before_and_after(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, ends: Ends, site: Site
) -> Iterator[None]:
    opendaylight.wait_established()
    bgpvpn.reaches(ends.near, site)
    yield
    opendaylight.wait_ready()
    opendaylight.wait_established()
    for speaker in bgpvpn.speakers.values():
        speaker.wait_established(120)
    bgpvpn.reaches(ends.near, site)


def test_restarted_it_announces_again_what_was_injected(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    ends: Ends,
    vpn: Vpn,
    site: Site,
    inject: Inject,
    record_property: Callable[[str, object], None],
) -> None:
    made = inject(BEHIND, vpn.rt, site)
    ends.near.reaches(HOST, within=60)
    opendaylight.restart()
    record_property("seconds until ready", round(opendaylight.wait_ready(), 1))
    opendaylight.wait_established()
    assert bgpvpn.announced(BEHIND, within=120) == made.route
    assert opendaylight.injected().count(made.route) == 1
    ends.near.reaches(HOST, within=60)
    for probe in (ends.near, ends.far, site):
        bgpvpn.announced(probe, oracle="opendaylight")


def test_stopped_it_announces_nothing(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    ends: Ends,
    vpn: Vpn,
    site: Site,
    inject: Inject,
    record_property: Callable[[str, object], None],
) -> None:
    inject(BEHIND, vpn.rt, site)
    ends.near.reaches(HOST, within=60)
    with opendaylight.stopped():
        record_property("seconds until withdrawn", round(bgpvpn.withdrawn(BEHIND), 1))
        bgpvpn.lost(ends.near, HOST)
        # The VPN itself does not need it.
        bgpvpn.reaches(ends.near, ends.far)
    opendaylight.wait_established()
    ends.near.reaches(HOST, within=60)


def test_killed_it_is_started_again(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, ends: Ends, vpn: Vpn, site: Site, inject: Inject
) -> None:
    made = inject(BEHIND, vpn.rt, site)
    opendaylight.kill()
    opendaylight.wait_ready()
    opendaylight.wait_established()
    assert bgpvpn.announced(BEHIND, within=120) == made.route
    ends.near.reaches(HOST, within=60)


@pytest.mark.parametrize("after", ["nothing", "the injection", "the withdrawal"])
def test_killed_in_the_middle_of_an_injection(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, vpn: Vpn, site: Site, inject: Inject, after: str
) -> None:
    made = None
    if after != "nothing":
        made = inject(BEHIND, vpn.rt, site)
    if made is not None and after == "the withdrawal":
        made.delete()
    opendaylight.kill()
    if after == "nothing":
        with suppress(KollalabError):
            inject(BEHIND, vpn.rt, site)
    opendaylight.wait_ready()
    opendaylight.wait_established()
    kept = [route for route in opendaylight.injected() if route.prefix == BEHIND]
    if after == "the injection":
        assert len(kept) == 1
    if after == "the withdrawal":
        assert kept == []
    # The reflector has what OpenDaylight has, whatever came of it.
    if kept:
        assert [bgpvpn.announced(BEHIND)] == kept
        opendaylight.withdraw(BEHIND)
    bgpvpn.withdrawn(BEHIND)


def test_the_reflector_goes_and_comes_back(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    ends: Ends,
    vpn: Vpn,
    site: Site,
    inject: Inject,
    way: Callable[[Site], Way],
    record_property: Callable[[str, object], None],
) -> None:
    made, found = inject(BEHIND, vpn.rt, site), way(site)
    with bgpvpn.reflector.stopped():
        opendaylight.wait_established(down=True)
        later = opendaylight.inject("172.31.1.0/24", vpn.rt, found.next_hop, found.label)
    seconds = opendaylight.wait_established()
    record_property("seconds until established", round(seconds, 1))
    assert bgpvpn.announced(BEHIND, within=120) == made.route
    # What was injected meanwhile is sent as well.
    assert bgpvpn.announced("172.31.1.0/24", within=60) == later.route
    for probe in (ends.near, ends.far, site):
        bgpvpn.announced(probe, oracle="opendaylight", within=120)
    ends.near.reaches(HOST, within=120)


def test_a_session_that_is_reset_comes_back(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    vpn: Vpn,
    site: Site,
    inject: Inject,
    record_property: Callable[[str, object], None],
) -> None:
    made = inject(BEHIND, vpn.rt, site)
    bgpvpn.reflector.reset(OWN)
    record_property("seconds until established", round(bgpvpn.reflector.wait_established(OWN), 1))
    assert bgpvpn.announced(BEHIND) == made.route
