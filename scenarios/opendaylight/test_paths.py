"""Routes that should have been sent or withdrawn: additional paths, graceful restarts, echoes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.opendaylight.feature import OWN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_kollalab.features.bgpvpn.site import Site
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.features.opendaylight.words import Injected, OpenDaylight
    from scenarios.opendaylight.conftest import Way

pytestmark = pytest.mark.kollalab_disruptive

BEHIND = "172.28.0.0/24"


@pytest.fixture
def started_anew(opendaylight: OpenDaylight) -> Iterator[None]:
    """Start OpenDaylight anew after a test, so that the next one finds none of its routes."""
    yield
    opendaylight.restart()
    opendaylight.wait_ready()
    opendaylight.wait_established()


@pytest.mark.usefixtures("started_anew")
@pytest.mark.defect("opendaylight-withdrawals-to-who-takes-additional-paths")
def test_a_withdrawal_reaches_who_takes_additional_paths(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    vpn: Vpn,
    site: Site,
    inject: Callable[..., Injected],
) -> None:
    with bgpvpn.reflector.taking_additional_paths(OWN):
        made = inject(BEHIND, vpn.rt, site)
        bgpvpn.announced(BEHIND)
        made.delete()
        bgpvpn.withdrawn(BEHIND, within=15)


@pytest.mark.usefixtures("started_anew")
@pytest.mark.defect("opendaylight-routes-for-who-restarts-gracefully")
def test_a_route_reaches_who_was_away_and_restarts_gracefully(
    bgpvpn: Bgpvpn, opendaylight: OpenDaylight, vpn: Vpn, site: Site, way: Callable[[Site], Way]
) -> None:
    found = way(site)
    with bgpvpn.reflector.helping_to_restart(OWN):
        with bgpvpn.reflector.stopped():
            opendaylight.wait_established(down=True)
            opendaylight.inject(BEHIND, vpn.rt, found.next_hop, found.label)
        opendaylight.wait_established()
        bgpvpn.announced(BEHIND, within=15)


def test_its_own_route_does_not_stay_when_the_reflector_tells_it_back(
    bgpvpn: Bgpvpn,
    opendaylight: OpenDaylight,
    vpn: Vpn,
    site: Site,
    inject: Callable[..., Injected],
) -> None:
    made = inject(BEHIND, vpn.rt, site)
    assert bgpvpn.announced(BEHIND, oracle="opendaylight") == made.route
    made.delete()
    bgpvpn.withdrawn(BEHIND)
    bgpvpn.withdrawn(BEHIND, oracle="opendaylight")
