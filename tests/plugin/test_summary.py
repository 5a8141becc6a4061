"""The end of a session: what each stage did, what was kept, the same as JSON; quiet and loud."""

from __future__ import annotations

import json

import pytest

from tests.plugin.small_lab import CONFTEST

TEST = """
def test_uses_the_lab(kollalab):
    kollalab.ensure("nodes")
"""


@pytest.fixture
def small(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TEST)
    return pytester


def summary(pytester: pytest.Pytester) -> dict[str, object]:
    path = pytester.path / "state" / "summaries" / "lab" / "summary.json"
    found: dict[str, object] = json.loads(path.read_text())
    return found


def test_each_stage_and_how_to_remove_what_is_kept(small: pytest.Pytester) -> None:
    result = small.runpytest_subprocess("--kollalab-keep=always", "--kollalab-until=nodes")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        [
            "kollalab: tools   build *not built yet",
            "kollalab: nodes   build *not built yet",
            "kollalab: lab lab is kept; remove it with: kollalab down",
        ]
    )
    told = summary(small)
    assert (told["kept"], told["remove"]) == (True, "kollalab down")

    result = small.runpytest_subprocess(
        "--kollalab-keep=never", "--kollalab-until=nodes", "--kollalab-artifacts=out"
    )
    result.stdout.fnmatch_lines(
        ["kollalab: nodes   reuse *unchanged since*", "kollalab: lab lab was removed in * s*"]
    )
    copied = json.loads((small.path / "out" / "summary.json").read_text())
    assert copied == summary(small)
    assert [stage["action"] for stage in copied["stages"]] == ["reuse"] * 3


def test_quiet_tells_only_what_is_left(small: pytest.Pytester) -> None:
    result = small.runpytest_subprocess("-q", "--kollalab-keep=always")
    said = [line for line in result.outlines if "kollalab:" in line or "build (" in line]
    assert said == ["kollalab: lab lab is kept; remove it with: kollalab down"]


def test_workers_are_summed_up_by_the_controller(small: pytest.Pytester) -> None:
    result = small.runpytest_subprocess("-n", "2", "--kollalab-until=nodes")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["kollalab: nodes   build *"])


def test_no_lab_no_summary(small: pytest.Pytester) -> None:
    small.makepyfile("def test_nothing(): pass")
    small.runpytest_subprocess()
    assert not (small.path / "state" / "summaries").exists()
