"""Help for an agent: when it is given, and when what is right has to stay so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Protocol

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


class Helped(Protocol):
    """`sfc_help.helped` on the clock of an agent."""

    def __call__(self, agent: Agent, *, unseen: bool = False) -> bool: ...


@pytest.fixture
def helped(monkeypatch: pytest.MonkeyPatch) -> Helped:
    def run(agent: Agent, *, unseen: bool = False) -> bool:
        clock = SimpleNamespace(monotonic=lambda: agent.now)
        monkeypatch.setattr(touching, "time", clock)
        return touching.helped(agent.await_it, agent.help_it, patience=1.0, unseen=unseen)

    return run


def test_what_is_right_needs_no_help(helped: Helped) -> None:
    agent = Agent()
    assert not helped(agent)
    assert (agent.helps, agent.now) == (0, 0.5)


def test_an_unseen_change_has_to_stay_right(helped: Helped) -> None:
    # The agent begins only after a second: what was right before says nothing.
    agent = Agent((1.0, 2.5))
    assert not helped(agent, unseen=True)
    assert agent.now >= 2.5 + touching.STEADY
    assert agent.helps == 0


def test_a_look_may_take_longer_than_it_has_to_stay_right(helped: Helped) -> None:
    agent = Agent(until_help=True, look=5.0)
    assert helped(agent)
    assert agent.helps == 1


def test_what_never_comes_to_rest_is_not_waited_for_without_end(helped: Helped) -> None:
    # Right for a second out of two.
    agent = Agent(*((second, second + 1.0) for second in range(0, 10_000, 2)))
    assert helped(agent, unseen=True)
    assert agent.helps == touching.ATTEMPTS
    assert agent.now < 1000


def test_what_stays_wrong_is_helped(helped: Helped) -> None:
    agent = Agent(until_help=True)
    assert helped(agent)
    assert agent.helps == 1
    # Right after help it has to stay right as well.
    assert agent.now >= touching.PATIENCE + touching.STEADY


def test_an_unseen_change_that_stays_wrong_is_helped(helped: Helped) -> None:
    agent = Agent(until_help=True)
    assert helped(agent, unseen=True)
    assert agent.helps == 1


def test_what_help_does_not_mend_is_an_error(helped: Helped) -> None:
    agent = Agent((0.0, 1000.0))
    with pytest.raises(WaitError):
        helped(agent)
    assert agent.helps == touching.ATTEMPTS
