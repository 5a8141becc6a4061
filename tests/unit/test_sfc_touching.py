"""Changes that an agent applies: how long they are waited for, and how often it is asked again."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from pytest_kollalab.features.sfc import touching
from pytest_kollalab.system.errors import WaitError


class Agent:
    """A clock and what is seen at each moment: wrong in some intervals, until it was helped."""

    def __init__(
        self, *wrong: tuple[float, float], until_help: bool = False, look: float = 0.5
    ) -> None:
        self.wrong = wrong
        self.until_help = until_help
        self.look = look
        self.now = 0.0
        self.helps = 0

    def is_right(self) -> bool:
        if self.until_help:
            return self.helps > 0
        return not any(begin <= self.now < end for begin, end in self.wrong)

    def await_it(self, timeout: float) -> None:
        deadline = self.now + timeout
        self.now += self.look
        while not self.is_right():
            if self.now > deadline:
                raise WaitError("still wrong")
            self.now += 0.1

    def help_it(self) -> None:
        self.helps += 1


@pytest.fixture
def await_change(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`await_change` on the clock of an agent."""

    def run(agent: Agent, *, unseen: bool = False) -> None:
        monkeypatch.setattr(touching, "time", SimpleNamespace(monotonic=lambda: agent.now))
        touching.await_change(agent.await_it, patience=1.0, unseen=unseen)

    return run


@pytest.fixture
def repeat(monkeypatch: pytest.MonkeyPatch) -> Callable[[Agent], None]:
    """`repeat` on the clock of an agent."""

    def run(agent: Agent) -> None:
        monkeypatch.setattr(touching, "time", SimpleNamespace(monotonic=lambda: agent.now))
        touching.repeat(agent.await_it, agent.help_it, patience=1.0)

    return run


def test_what_is_right_is_not_waited_for(await_change: Callable[..., None]) -> None:
    agent = Agent()
    await_change(agent)
    assert agent.now == 0.5


def test_an_unseen_change_has_to_stay_right(await_change: Callable[..., None]) -> None:
    # The agent begins only after a second: what was right before says nothing.
    agent = Agent((1.0, 2.5))
    await_change(agent, unseen=True)
    assert agent.now >= 2.5 + touching.STEADY


@pytest.mark.parametrize("unseen", [False, True])
def test_what_stays_wrong_is_an_error(await_change: Callable[..., None], unseen: bool) -> None:
    agent = Agent(until_help=True)
    with pytest.raises(WaitError):
        await_change(agent, unseen=unseen)
    assert touching.PATIENCE <= agent.now < 2 * touching.PATIENCE


def test_one_act_may_do(repeat: Callable[[Agent], None]) -> None:
    agent = Agent(until_help=True)
    repeat(agent)
    assert agent.helps == 1
    # It has to stay right as well.
    assert agent.now >= touching.STEADY


def test_a_look_may_take_longer_than_it_has_to_stay_right(repeat: Callable[[Agent], None]) -> None:
    agent = Agent(until_help=True, look=5.0)
    repeat(agent)
    assert agent.helps == 1


def test_what_never_comes_to_rest_is_not_waited_for_without_end(
    repeat: Callable[[Agent], None],
) -> None:
    # Right for a second out of two.
    agent = Agent(*((second, second + 1.0) for second in range(0, 10_000, 2)))
    repeat(agent)
    assert agent.helps == touching.ATTEMPTS
    assert agent.now < 1000


def test_what_no_act_mends_is_an_error(repeat: Callable[[Agent], None]) -> None:
    agent = Agent((0.0, 1000.0))
    with pytest.raises(WaitError):
        repeat(agent)
    assert agent.helps == touching.ATTEMPTS
