"""Fixtures for the scenarios of OpenDaylight: a VPN on two nodes, and a site behind the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from scenarios.vpns import ends, ends_are_plugged, removed_first, vpn  # noqa: F401

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.site import Site
    from pytest_kollalab.features.bgpvpn.vpn import Vpn
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.features.opendaylight.words import Injected, OpenDaylight


@dataclass(frozen=True)
class Way:
    """A way to a site from outside: what a controller announces for prefixes behind it."""

    next_hop: str
    label: int


@pytest.fixture(autouse=True)
def routes_and_vpns_go_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove routes, VPNs and sites of a test before its ports, which agents need for that."""
    with removed_first(request, "bgpvpn", "opendaylight"):
        yield


@pytest.fixture(scope="module")
def site(bgpvpn: Bgpvpn, vpn: Vpn) -> Site:  # noqa: F811
    return bgpvpn.site("archive", rt=vpn.rt)


@pytest.fixture
def way(bgpvpn: Bgpvpn) -> Callable[[Site], Way]:
    """Tells the way to a site, as the gateway announces it."""

    def to(site: Site) -> Way:
        route = bgpvpn.announced(site, by="gateway-1")
        assert route.label is not None
        return Way(route.next_hop, route.label)

    return to


@pytest.fixture
def inject(
    opendaylight: OpenDaylight, way: Callable[[Site], Way]
) -> Callable[[str, tuple[str, ...], Site, int], Injected]:
    """Injects a route to a prefix behind a site."""

    def injected(prefix: str, rt: tuple[str, ...], site: Site, local_pref: int = 100) -> Injected:
        found = way(site)
        return opendaylight.inject(prefix, rt, found.next_hop, found.label, local_pref=local_pref)

    return injected
