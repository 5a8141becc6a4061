"""Fixtures for the scenarios of OpenDaylight: a VPN on two nodes, and a site behind the gateway."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.bgpvpn.vpn import Vpn
from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.site import Site
    from pytest_kollalab.features.opendaylight.words import Injected, OpenDaylight


@dataclass(frozen=True)
class Way:
    """A way to a site from outside: what a controller announces for prefixes behind it."""

    next_hop: str
    label: int


@pytest.fixture(autouse=True)
def routes_and_vpns_go_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove routes, VPNs and sites of a test before its ports, which agents need for that."""
    with ExitStack() as parts:
        for name in ("bgpvpn", "opendaylight"):
            if name in request.fixturenames:
                parts.enter_context(request.getfixturevalue(name).part())
        yield


@pytest.fixture(autouse=True)
def ends_are_plugged(request: pytest.FixtureRequest) -> None:
    """Replug the ends if a test in another worker has restarted their Open vSwitch."""
    if hasattr(request.config, "workerinput") and "ends" in request.fixturenames:
        ends: Ends = request.getfixturevalue("ends")
        request.getfixturevalue("bgpvpn").tenant.mend(ends.near, ends.far)


@pytest.fixture(scope="module")
def ends(bgpvpn: Bgpvpn) -> Ends:
    return bgpvpn.ends()


@pytest.fixture(scope="module")
def vpn(bgpvpn: Bgpvpn, ends: Ends) -> Vpn:
    """One VPN with both networks."""
    vpn = bgpvpn.l3()
    vpn.join(ends.left)
    vpn.join(ends.right)
    vpn.wait_converged()
    return vpn


@pytest.fixture(scope="module")
def site(bgpvpn: Bgpvpn, vpn: Vpn) -> Site:
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
