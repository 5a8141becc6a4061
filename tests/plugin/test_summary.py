"""The end of a session: what each stage did, what was kept, the same as JSON; quiet and loud."""

from __future__ import annotations

import json
import re

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


KEPT = "kollalab: lab lab is kept; remove it with: kollalab down"
OF_LAB = re.compile(r"(?:kollalab: )?(?:lab |tools|images|nodes|cloud)")


def told(result: pytest.RunResult) -> list[str]:
    """The lines about the lab, without keys and times."""
    lines = (line.removeprefix("[gw0] ") for line in result.outlines)
    return [line for line in lines if OF_LAB.match(line)]


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "workers"])
def test_quiet_tells_what_is_built_and_what_is_left(
    small: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    result = small.runpytest_subprocess("-q", "--kollalab-keep=always", *workers)
    title, *built, kept = told(result)
    assert title.startswith("lab lab: core; release ")
    assert built == [
        line
        for stage in ("tools", "images", "nodes")
        for line in (f"{stage}: build (not built yet)", f"{stage}: built in 0 s")
    ]
    assert kept == KEPT
    # Nothing is built: only what stays is told.
    again = small.runpytest_subprocess("-q", "--kollalab-keep=always", *workers)
    assert told(again) == [KEPT]


def test_very_quiet_tells_only_what_is_left(small: pytest.Pytester) -> None:
    assert told(small.runpytest_subprocess("-qq", "--kollalab-keep=always")) == [KEPT]


@pytest.mark.parametrize("quiet", [(), ("-q",), ("-qq",)], ids=["loud", "quiet", "very quiet"])
def test_that_a_lab_which_is_there_is_built_anew_is_always_told(
    small: pytest.Pytester, quiet: tuple[str, ...]
) -> None:
    small.runpytest_subprocess("--kollalab-keep=always")
    result = small.runpytest_subprocess(*quiet, "--kollalab-keep=always", "--kollalab-fresh=nodes")
    assert result.ret == 0
    assert told(result).count("lab lab is removed and built anew: asked for") == 1
    # What was not there is not removed.
    small.runpytest_subprocess("--kollalab-keep=never")
    anew = small.runpytest_subprocess(*quiet, "--kollalab-keep=never")
    assert not [line for line in told(anew) if "built anew" in line]


def test_workers_are_summed_up_by_the_controller(small: pytest.Pytester) -> None:
    result = small.runpytest_subprocess("-n", "2", "--kollalab-until=nodes")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["kollalab: nodes   build *"])


def test_no_lab_no_summary(small: pytest.Pytester) -> None:
    small.makepyfile("def test_nothing(): pass")
    small.runpytest_subprocess()
    assert not (small.path / "state" / "summaries").exists()
