"""What a project opts in to: parts of tenants that go with each test, and the check for leaks."""

from __future__ import annotations

import pytest

# A tenant that notes what happens to it; it has nodes if the file `nodes` exists.
CONFTEST = """
import contextlib
from pathlib import Path

import pytest
from pytest_kollalab.sdn.tenant import traces

pytest_plugins = ["pytest_kollalab.plugin.{plugin}"]
HERE = Path(__file__).parent
LEFT = HERE / "left"


def note(text):
    with (HERE / "notes").open("a") as file:
        file.write(text + "\\n")


class Tenant:
    name = "fake"
    is_closed = False
    has_nodes = (HERE / "nodes").exists()

    @contextlib.contextmanager
    def part(self):
        note("part")
        yield
        note("removed")


@contextlib.contextmanager
def none_left(tenant, nodes):
    with tenant.part():
        yield
    assert not LEFT.exists(), "left: a port"


traces.none_left = none_left
traces.await_same = lambda *_: note("checked")


@pytest.fixture(scope="module")
def tenant():
    made = Tenant()
    yield made
    made.is_closed = True


@pytest.fixture
def lab_nodes():
    return ()
"""
TESTS = """
from pathlib import Path

def test_first(tenant):
    pass

def test_leaks(tenant):
    Path(__file__).with_name("left").touch()

def test_without():
    pass
"""


def run(pytester: pytest.Pytester, plugin: str) -> tuple[pytest.RunResult, list[str]]:
    pytester.makeconftest(CONFTEST.replace("{plugin}", plugin))
    pytester.makepyfile(test_it=TESTS)
    result = pytester.runpytest_subprocess()
    return result, (pytester.path / "notes").read_text().split()


@pytest.mark.parametrize("plugin", ["parts", "leaks"])
def test_what_a_test_makes_goes_with_the_test(pytester: pytest.Pytester, plugin: str) -> None:
    result, notes = run(pytester, plugin)
    result.assert_outcomes(passed=3)
    assert notes == ["part", "removed"] * 2


def test_what_is_left_fails_its_test(pytester: pytest.Pytester) -> None:
    (pytester.path / "nodes").touch()
    result, notes = run(pytester, "leaks")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaks*", "*left: a port*"])
    assert notes[-1] == "checked"


def test_nobody_gets_it_who_does_not_ask(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(): pass")
    result = pytester.runpytest_subprocess("--fixtures")
    assert "nothing_is_left" not in result.stdout.str()
