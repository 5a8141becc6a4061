"""The figures of a session: from every process into one table, and into the summary."""

from __future__ import annotations

import json

import pytest

from tests.plugin.small_lab import CONFTEST

TEST = """
import pytest
from pytest_kollalab.sdn import figures

@pytest.fixture
def measured():
    yield
    figures.record("teardown", 3)

@pytest.mark.parametrize("seconds", [1, 2])
def test_measures(kollalab, measured, seconds):
    kollalab.ensure("nodes")
    figures.record("call", seconds)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_table_and_the_summary(pytester: pytest.Pytester, workers: str) -> None:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-n", workers, "--kollalab-until=nodes")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "*= figures =*",
            "seconds * count * least * median * most",
            "call * 2 * 1.00 * 1.50 * 2.00",
            "teardown * 2 * 3.00 * 3.00 * 3.00",
        ]
    )
    path = pytester.path / "state" / "summaries" / "lab" / "summary.json"
    assert json.loads(path.read_text())["figures"][0] == {
        "name": "call",
        "count": 2,
        "least": 1.0,
        "median": 1.5,
        "most": 2.0,
    }


def test_guests_are_probes_or_servers(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_one(sfc): pass")
    result = pytester.runpytest_subprocess("--kollalab-guests=server", "--kollalab-plan")
    assert result.ret == 0
    pytester.makeini("[pytest]\nkollalab_guests = horses\n")
    result = pytester.runpytest_subprocess("--kollalab-plan")
    result.stderr.fnmatch_lines(["*guests: 'horses' is not known*"])
