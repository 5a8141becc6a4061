"""A plugged port: the workaround for an agent of Neutron that has missed it."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_kollalab.sdn import workarounds
from pytest_kollalab.sdn.probe import plugging
from pytest_kollalab.sdn.tenant.network import Port
from pytest_kollalab.sdn.workarounds import MISSED_PORT, REFUSED, USED, WorkaroundForbiddenError
from pytest_kollalab.system.errors import WaitError

PORT = Port("8ba3cc0e-61ee-4c0e-9f7b-73d56252ff0c", "fa:16:3e:00:00:01", "10.200.0.3")


class Agent:
    """Neutron and the node: the port is up once it was announced so many times."""

    node = "controller-1"

    def __init__(self, missed: int) -> None:
        self.missed = missed
        self.announced: list[tuple[str, str, str, str]] = []

    def get_port(self, port: str) -> Any:
        done = len(self.announced) >= self.missed
        return SimpleNamespace(status="ACTIVE" if done else "DOWN")

    def announce(self, device: str, *, bridge: str, mac: str, port: str) -> None:
        self.announced.append((device, bridge, mac, port))


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look at the port takes half a second, and none is waited for."""
    ticks = itertools.count(step=0.5)
    monkeypatch.setattr(plugging, "time", SimpleNamespace(monotonic=lambda: next(ticks)))

    def until(what: str, probe: Any, *, timeout: float) -> None:
        for _ in range(int(timeout)):
            seen = probe()
            if seen is True:
                return
        raise WaitError(what, details=seen.seen)

    monkeypatch.setattr(plugging, "wait", SimpleNamespace(until=until))


def await_active(agent: Agent) -> None:
    admin = SimpleNamespace(network=agent)
    plugging.await_active(cast("Any", admin), cast("Any", agent), PORT)


def test_a_port_that_is_seen_is_not_announced() -> None:
    agent = Agent(missed=0)
    await_active(agent)
    assert agent.announced == []
    assert workarounds.taken() == []


def test_a_port_that_was_missed_is_announced_again(caplog: pytest.LogCaptureFixture) -> None:
    agent = Agent(missed=1)
    await_active(agent)
    assert agent.announced == [("tap8ba3cc0e-61", "br-int", PORT.mac, PORT.id)]
    assert workarounds.taken() == [(USED, MISSED_PORT.id)]
    assert "tap8ba3cc0e-61 on controller-1 is DOWN after 20 s" in caplog.text


def test_it_is_not_announced_where_workarounds_are_forbidden() -> None:
    agent = Agent(missed=1)
    with pytest.raises(WorkaroundForbiddenError, match=MISSED_PORT.id), workarounds.forbidden():
        await_active(agent)
    assert agent.announced == []
    assert workarounds.taken() == [(REFUSED, MISSED_PORT.id)]


def test_a_port_that_never_works_is_an_error() -> None:
    agent = Agent(missed=100)
    with pytest.raises(WaitError) as caught:
        await_active(agent)
    # 180 looks of half a second; one every 20 s.
    assert len(agent.announced) == 4
    assert "announced again 4 times" in str(caught.value.details)
    assert workarounds.taken() == [(USED, MISSED_PORT.id)] * 4
