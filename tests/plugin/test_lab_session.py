"""The LabSession: one object, one copy of the options, warnings of libraries only with a lab."""

from __future__ import annotations

import pytest

from tests.plugin.small_lab import CONFTEST

ONE = """
import gc
import pytest
from pytest_kollalab.plugin.session import LabSession, session_key
from pytest_kollalab.settings.config import Options

@pytest.mark.parametrize("number", range(4))
def test_it(kollalab, lab_nodes, pytestconfig, number):
    session = pytestconfig.stash[session_key]
    assert [each for each in gc.get_objects() if isinstance(each, LabSession)] == [session]
    assert pytestconfig.pluginmanager.getplugin("kollalab-session") is session
    assert session.lab is kollalab
    assert session.options is kollalab.options
    gc.collect()
    of_this_lab = [
        each
        for each in gc.get_objects()
        if isinstance(each, Options) and (each.name, each.until) == (kollalab.name, "nodes")
    ]
    assert of_this_lab == [session.options]
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("-n", "2", "--kollalab-labs=2")])
def test_session_and_lab_share_the_one_copy_of_the_options(
    pytester: pytest.Pytester, arguments: tuple[str, ...]
) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(ONE)
    result = pytester.runpytest_subprocess("--kollalab-until=nodes", *arguments)
    result.assert_outcomes(passed=4)


def test_a_worker_that_goes_on_in_the_first_lab_has_its_options(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(ONE)
    (pytester.path / "break-nodes-lab-2").touch()
    options = ("-n", "2", "--kollalab-labs=2", "--kollalab-until=nodes")
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=4)


def test_warnings_of_libraries_are_ignored_where_a_lab_is_used(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        """
        import warnings

        def test_with_a_lab(kollalab):
            warnings.warn_explicit("old", Warning, "x.py", 1, module="openstack.resource")

        def test_another():
            warnings.warn_explicit("old", Warning, "x.py", 1, module="openstack.resource")
        """
    )
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
    result = pytester.runpytest_subprocess("-k", "another")
    result.assert_outcomes(failed=1)


def test_the_plan_is_said_with_workers_too_and_nothing_runs(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile("def test_it(lab_nodes): pass")
    result = pytester.runpytest_subprocess("-n", "2", "--kollalab-plan")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["nodes *build *not built yet*"])
    assert not (pytester.path / "trace").exists()
