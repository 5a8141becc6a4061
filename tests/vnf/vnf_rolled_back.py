"""A lab goes back to a saved state while Tacker is at work; the session beside it shows that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.tacker.words import Vdu
from pytest_kollalab.system.errors import WaitError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kollalab.features.tacker.words import Occurrence, Tacker, Vnf
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant

STATE = "operation"


@pytest.fixture(scope="module")
def networks(tenant: Tenant) -> dict[str, Network]:
    return {"cp": tenant.network()}


@pytest.fixture
def vnf(tenant: Tenant, tacker: Tacker) -> Iterator[Vnf]:
    """A VNF that has not been instantiated; it goes with the test."""
    with tenant.part():
        yield tacker.create(tacker.package(Vdu("plain", ("cp",))))


@pytest.fixture(autouse=True)
def state_goes(kollalab: Lab) -> Iterator[None]:
    yield
    kollalab.clear(STATE)


def under_way(tacker: Tacker, vnf: Vnf, networks: dict[str, Network]) -> Occurrence:
    """An operation that has begun and not ended."""
    with pytest.raises(WaitError):
        tacker.instantiate(vnf, networks, within=0)
    (begun,) = tacker.occurrences(vnf)
    assert not begun.has_ended
    return begun


def test_a_lab_goes_back_to_before_an_operation(
    kollalab: Lab, tacker: Tacker, vnf: Vnf, networks: dict[str, Network]
) -> None:
    kollalab.save(STATE)
    under_way(tacker, vnf, networks)
    kollalab.rollback(STATE)
    assert tacker.occurrences(vnf) == []
    assert tacker.stacks() == []
    assert not vnf.is_instantiated()
    # Nothing of it is in the way of another one.
    assert tacker.instantiate(vnf, networks)
    (member,) = vnf.members()
    member.server.await_ready()


def test_a_lab_goes_back_into_an_operation(
    kollalab: Lab, tacker: Tacker, vnf: Vnf, networks: dict[str, Network]
) -> None:
    begun = under_way(tacker, vnf, networks)
    kollalab.save(STATE)
    assert tacker.await_end(begun.id)
    kollalab.rollback(STATE)
    # Its conductor was restarted in the middle.
    failed = tacker.await_end(begun.id)
    assert failed.state == "FAILED_TEMP"
    assert "conductor processing error" in failed.error
    tacker.roll_back(failed)
    assert tacker.stacks() == []
    assert tacker.instantiate(vnf, networks)
