"""The workarounds of a session: from every process into the reports, or the test fails."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from tests.plugin.small_lab import CONFTEST

TEST = """
import pytest
from pytest_kollalab.sdn import workarounds

@pytest.fixture
def plugged():
    workarounds.use(workarounds.MISSED_PORT, "DOWN")
    yield
    with workarounds.removing(workarounds.STRAY_FLOWS, "a flow"):
        pass

@pytest.mark.parametrize("number", [1, 2])
def test_updates(kollalab, number):
    kollalab.ensure("nodes")
    workarounds.use(workarounds.LOST_UPDATE, "no group")

def test_plugs(kollalab, plugged):
    kollalab.ensure("nodes")

def test_fails(kollalab):
    kollalab.ensure("nodes")
    workarounds.use(workarounds.LOST_UPDATE, "no group")
    assert False

def test_refuses(kollalab):
    kollalab.ensure("nodes")
    with workarounds.forbidden():
        with pytest.raises(workarounds.WorkaroundForbiddenError):
            workarounds.use(workarounds.GRAPH_LINKS, "no link")
"""


@pytest.fixture(autouse=True)
def project(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TEST)


def properties(pytester: pytest.Pytester) -> dict[str, list[tuple[str, str]]]:
    """Those of workarounds, of each test in JUnit."""
    return {
        case.attrib["name"]: [
            (each.attrib["name"], each.attrib["value"])
            for each in case.iter("property")
            if each.attrib["name"].startswith("kollalab.")
        ]
        for case in ElementTree.parse(pytester.path / "junit.xml").iter("testcase")
    }


@pytest.mark.parametrize("workers", ["0", "2"])
def test_what_was_used_is_in_every_report(pytester: pytest.Pytester, workers: str) -> None:
    result = pytester.runpytest_subprocess(
        *("-n", workers, "--kollalab-until=nodes"),
        *("--junitxml=junit.xml", "--kollalab-artifacts=told"),
    )
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*= workarounds for upstream bugs =*"])
    told = result.stdout.str()
    assert "sfc-lost-update: a port chain lost flows in an update; used 3 times" in told
    assert "linked on the wrong nodes; refused once" in told
    path = pytester.path / "state" / "summaries" / "lab" / "summary.json"
    rows = {row["id"]: row for row in json.loads(path.read_text())["workarounds"]}
    assert {name: (row["used"], row["refused"]) for name, row in rows.items()} == {
        "sfc-lost-update": (3, 0),
        "neutron-missed-port": (1, 0),
        "sfc-stray-flows": (1, 0),
        "sfc-graph-links": (0, 1),
    }
    assert len(rows["sfc-lost-update"]["tests"]) == 3
    found = properties(pytester)
    assert found["test_updates[1]"] == [("kollalab.workaround", "sfc-lost-update")]
    assert found["test_refuses"] == [("kollalab.workaround.refused", "sfc-graph-links")]
    assert found["test_plugs"] == [
        ("kollalab.workaround", "neutron-missed-port"),
        ("kollalab.workaround", "sfc-stray-flows"),
    ]
    (file,) = (pytester.path / "told").glob("*/workarounds.txt")
    assert file.read_text().startswith("used once: sfc-lost-update: a port chain lost flows")


@pytest.mark.parametrize("workers", ["0", "2"])
def test_the_first_use_fails_the_test_where_they_are_forbidden(
    pytester: pytest.Pytester, workers: str
) -> None:
    result = pytester.runpytest_subprocess(
        *("-n", workers, "--kollalab-until=nodes"),
        *("--junitxml=junit.xml", "--kollalab-workarounds=forbid"),
    )
    result.assert_outcomes(passed=1, failed=3, errors=1)
    result.stdout.fnmatch_lines(
        ["*WorkaroundForbiddenError: workaround sfc-lost-update is needed and forbidden*"]
    )
    found = properties(pytester)
    assert found["test_updates[1]"] == [("kollalab.workaround.refused", "sfc-lost-update")]
    assert found["test_plugs"] == [("kollalab.workaround.refused", "neutron-missed-port")]


def test_what_is_allowed_is_not_told_of(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest_subprocess(
        "--kollalab-until=nodes", "--junitxml=junit.xml", "--kollalab-workarounds=allow"
    )
    result.assert_outcomes(passed=4, failed=1)
    assert ("kollalab.workaround", "sfc-lost-update") not in properties(pytester)["test_updates[1]"]
    assert "; used" not in result.stdout.str()
