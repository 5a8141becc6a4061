"""JUnit: builds of stages are test cases of their own."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.plugin.small_lab import CONFTEST

TESTS = """
def test_first(lab_nodes):
    pass

def test_second(lab_nodes):
    pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(test_it=TESTS)
    return pytester


def cases(project: pytest.Pytester, *arguments: str) -> dict[str, ElementTree.Element]:
    project.runpytest_subprocess("--junitxml=junit.xml", *arguments)
    found = ElementTree.parse(project.path / "junit.xml").iter("testcase")
    return {f"{case.get('classname')} {case.get('name')}": case for case in found}


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "workers"])
def test_the_build_of_a_lab_is_not_the_first_tests_time(
    project: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    (project.path / "slow-create-nodes").write_text("2")
    found = cases(project, *workers)
    builds = [name for name in found if name.startswith("kollalab.lab ")]
    assert builds == [f"kollalab.lab build of {name}" for name in ("tools", "images", "nodes")]
    assert float(found["kollalab.lab build of nodes"].get("time", 0)) >= 1.9
    for name in ("test_first", "test_second"):
        assert float(found[f"test_it {name}"].get("time", 0)) < 1.5


def test_a_build_that_fails_is_a_failed_case(project: pytest.Pytester) -> None:
    (project.path / "break-nodes").touch()
    found = cases(project)
    failure = found["kollalab.lab build of nodes"].find("failure")
    assert failure is not None
    assert "nodes is full" in str(failure.get("message"))
    assert found["kollalab.lab build of images"].find("failure") is None


def test_a_lab_that_is_reused_has_no_case(project: pytest.Pytester) -> None:
    cases(project, "--kollalab-keep=always")
    assert not any(name.startswith("kollalab") for name in cases(project))
