"""Saved states are not removed by a session, a build or a verb that was not told to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.plugin.small_lab import CONFTEST

KOLLALAB = str(Path(sys.executable).with_name("kollalab"))
TEST = """
def test_nodes(lab_nodes):
    pass
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A kept lab of small stages with a saved state."""
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TEST)
    (pytester.path / ".git").mkdir()
    pytester.runpytest_subprocess("--kollalab-keep=always").assert_outcomes(passed=1)
    save(pytester)
    return pytester


def save(project: pytest.Pytester) -> None:
    path = project.path / "state" / "labs" / "lab" / "saves" / "mine.abc123.json"
    path.parent.mkdir()
    state = {"name": "mine", "label": "mine.abc123", "made": "2026-11-30", "nodes": "x"}
    path.write_text(json.dumps(state))


def trace(project: pytest.Pytester) -> list[str]:
    return (project.path / "trace").read_text().splitlines()


def kollalab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([KOLLALAB, *words], check=False, capture_output=True, text=True)


def test_a_session_that_would_build_anew_fails_and_says_so(project: pytest.Pytester) -> None:
    before = trace(project)
    result = project.runpytest_subprocess("--kollalab-fresh=nodes", "--kollalab-keep=always")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "building the nodes anew would remove the saved state mine of lab lab",
            "  what now: kollalab rollback mine --name lab*--discard-saved*",
        ]
    )
    assert trace(project) == before
    again = project.runpytest_subprocess(
        "--kollalab-fresh=nodes", "--kollalab-keep=always", "--kollalab-discard-saved"
    )
    again.assert_outcomes(passed=1)
    assert trace(project)[len(before) :] == ["destroy nodes", "create nodes"]


@pytest.mark.parametrize("quiet", [(), ("-q",)], ids=["loud", "quiet"])
def test_a_session_leaves_a_lab_with_saved_states(
    project: pytest.Pytester, quiet: tuple[str, ...]
) -> None:
    before = trace(project)
    result = project.runpytest_subprocess("--kollalab-keep=never", *quiet)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["kollalab: removing the lab would remove the saved state mine of lab lab"]
    )
    assert trace(project) == before
    project.runpytest_subprocess("--kollalab-keep=never", "--kollalab-discard-saved")
    assert trace(project)[len(before) :] == ["destroy cloud", "destroy nodes"]


def test_a_lab_with_saved_states_is_not_destroyed_without_consent(
    project: pytest.Pytester,
) -> None:
    before = trace(project)
    result = project.runpytest_subprocess("--kollalab-destroy")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*removing the lab would remove the saved state mine of lab lab"])
    for verb in ("down", "destroy"):
        said = kollalab(verb)
        assert (said.returncode, said.stdout) == (1, "")
        assert "removing the lab would remove the saved state mine of lab lab" in said.stderr
    assert trace(project) == before
    result = project.runpytest_subprocess("--kollalab-destroy", "--kollalab-discard-saved")
    assert result.ret == pytest.ExitCode.OK
    assert trace(project)[len(before) :] == ["destroy cloud", "destroy nodes"]


def test_a_name_that_is_taken_is_not_used_again_without_consent(project: pytest.Pytester) -> None:
    said = kollalab("save", "mine")
    assert said.returncode == 1
    assert "lab lab has a saved state mine already\n  it is of 2026-11-30\n" in said.stderr
    # Only docker is missing then.
    assert "lab lab has a saved state" not in kollalab("save", "mine", "--yes").stderr
