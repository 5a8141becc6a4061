"""The markers: names with our prefix, and the old names, which warn for a release."""

from __future__ import annotations

import pytest

from tests.plugin.small_lab import CONFTEST

TESTS = """
import pytest

@pytest.mark.smoke
def test_old(kollalab):
    pass

@pytest.mark.kollalab_smoke
def test_new(kollalab):
    pass

@pytest.mark.smoke
def test_of_no_lab():
    pass
"""
WARNING = "*PytestDeprecationWarning: the marker {0} is now kollalab_{0}; *"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS)
    (pytester.path / "kollalab.toml").touch()
    return pytester


def test_an_old_name_is_valid_and_warns_where_a_lab_is_used(project: pytest.Pytester) -> None:
    result = project.runpytest_subprocess("--strict-markers", "-m", "smoke or kollalab_smoke")
    result.assert_outcomes(passed=3, warnings=1)
    result.stdout.fnmatch_lines(["*::test_old", WARNING.format("smoke")])


def test_a_marker_that_the_project_registers_is_its_own(project: pytest.Pytester) -> None:
    project.makeini("[pytest]\nmarkers = smoke: something else\n")
    result = project.runpytest_subprocess("--strict-markers", "-W", "error")
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("name", ["disruptive", "kollalab_disruptive"])
def test_a_disruptive_test_is_alone_by_either_name(pytester: pytest.Pytester, name: str) -> None:
    pytester.makeconftest(
        CONFTEST
        + """
import contextlib
from pytest_kollalab.system.locks import ReadWriteLock

@contextlib.contextmanager
def alone(self, waiting):
    TRACE.open("a").write("alone\\n")
    yield

ReadWriteLock.alone = alone
"""
    )
    pytester.makepyfile(f"import pytest\n@pytest.mark.{name}\ndef test_it(kollalab): pass\n")
    (pytester.path / "kollalab.toml").touch()
    result = pytester.runpytest_subprocess("--strict-markers")
    old = name == "disruptive"
    result.assert_outcomes(passed=1, warnings=int(old))
    assert (pytester.path / "trace").read_text().count("alone\n") == 1
    if old:
        result.stdout.fnmatch_lines([WARNING.format(name)])
