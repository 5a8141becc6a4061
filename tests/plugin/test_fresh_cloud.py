"""The fixture `fresh_cloud`: the golden state before a module, alone, and a message without it."""

from __future__ import annotations

import pytest

from tests.plugin.small_lab import CONFTEST

CLOUD = """

import pytest


class Session:
    class session:
        close = staticmethod(lambda: None)


class Connection:
    session = Session
    close = staticmethod(lambda: None)


@pytest.fixture(scope="session")
def openstack_cloud(lab_nodes):
    return Connection


SmallLab.connect = lambda self: Connection
"""
# A lab whose nodes can be saved: what is rolled back, and when, goes into the trace.
SAVED = """
SmallLab.rollback = lambda self, name: TRACE.open("a").write(f"rollback {name}\\n")
"""
TESTS = """
import pytest


def test_one(fresh_cloud):
    pass

def test_two(fresh_cloud):
    pass
"""


def test_each_module_has_the_golden_state_once(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST + CLOUD + SAVED)
    pytester.makepyfile(test_first=TESTS, test_second=TESTS)
    pytester.runpytest_subprocess().assert_outcomes(passed=4)
    trace = (pytester.path / "trace").read_text().splitlines()
    assert trace.count("rollback golden") == 2


def test_without_a_golden_state_it_says_how_to_get_one(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST + CLOUD)
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(["*has no saved state 'golden'*"])
    result.stdout.fnmatch_lines(["*what now: kollalab save NAME makes one*"])


def test_whoever_uses_it_runs_alone(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        CONFTEST
        + CLOUD
        + SAVED
        + """
import contextlib
from pytest_kollalab.system.locks import ReadWriteLock

def told(what):
    inner = getattr(ReadWriteLock, what)
    @contextlib.contextmanager
    def outer(self, waiting):
        with inner(self, waiting), TRACE.open("a") as file:
            file.write(f"{what}\\n")
            file.flush()
            yield
    return outer

ReadWriteLock.alone, ReadWriteLock.together = told("alone"), told("together")
"""
    )
    pytester.makepyfile("def test_it(fresh_cloud):\n    pass\n")
    pytester.runpytest_subprocess().assert_outcomes(passed=1)
    trace = (pytester.path / "trace").read_text()
    assert "alone" in trace
    assert "together" not in trace
