"""Help, collection and lists of fixtures start nothing and import nothing heavy."""

from __future__ import annotations

import pytest

HEAVY = ("docker", "libvirt", "openstack", "ansible_runner", "yaml", "rich")

CONFTEST = f"""
import sys

def pytest_unconfigure(config):
    found = sorted(set({HEAVY!r}) & set(sys.modules))
    print("heavy imports:", found)
"""

SCENARIO = """
import pytest

@pytest.mark.kollalab_feature("sfc")
def test_chain(tenant, openstack_cloud, lab_nodes):
    raise AssertionError("was run")
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--collect-only"], ["--fixtures"], ["--markers"], ["--version"]]
)
def test_nothing_heavy_is_imported(pytester: pytest.Pytester, arguments: list[str]) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(SCENARIO)
    result = pytester.runpytest_subprocess(*arguments, "-s", "-p", "no:xdist")
    assert result.ret == pytest.ExitCode.OK
    if arguments != ["--version"]:
        result.stdout.fnmatch_lines(["*heavy imports: []*"])
    assert not (pytester.path / "cache").exists()
    assert not (pytester.path / "state").exists()


def test_a_project_that_uses_none_of_it_notices_nothing(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_plain(): pass")
    result = pytester.runpytest_subprocess("-s", "-W", "error")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*heavy imports: []*"])
    result.stdout.no_fnmatch_line("*kollalab:*")
    assert not (pytester.path / "state").exists()


def test_the_fixtures_explain_themselves(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess("--fixtures", "-p", "no:xdist")
    for name in ("kollalab", "kolla_images", "lab_nodes", "openstack_cloud", "tenant"):
        result.stdout.fnmatch_lines([f"{name}*[[]*scope[]] -- *"])
    result.stdout.no_fnmatch_line("*no docstring available*kollalab*")
