"""What scenarios with VPNs share: one VPN on two nodes, and what is removed first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from pytest_kollalab.features.bgpvpn.vpn import Vpn
from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends


@contextmanager
def removed_first(request: pytest.FixtureRequest, *words: str) -> Iterator[None]:
    """Remove what a test makes by words before its ports, which agents need to withdraw routes.

    Args:
        request: The request of the test.
        words: The names of the fixtures; those that the test does not use do not count.
    """
    with ExitStack() as parts:
        for name in words:
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
