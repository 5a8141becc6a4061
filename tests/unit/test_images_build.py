"""The build: progress from kolla-build's output, and what a failed image says."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.stages.images.build import BuildProgress, check, tail
from pytest_kollalab.system.errors import StageError

OUTPUT = """\
INFO:kolla.common.utils:Attempt number: 1 to run task: BuildTask(base)
INFO:kolla.common.utils.base:Building started at 2026-11-22 20:37:16.446352
INFO:kolla.common.utils.base:Step 1/42 : FROM kollalab/debian:0123
INFO:kolla.common.utils.base:Built at 2026-11-22 20:37:28.405413 (took 0:00:11.959141)
INFO:kolla.common.utils.nova-api:Building started at 2026-11-22 20:37:28.405413
INFO:kolla.common.utils.nova-api:Building started at 2026-11-22 20:37:40.405413
INFO:kolla.common.utils.nova-api:Built at 2026-11-22 20:38:28.405413 (took 0:01:02.500000)
"""


def test_progress_counts_images_and_keeps_their_times() -> None:
    said: list[str] = []
    progress = BuildProgress(2, said.append)
    for line in OUTPUT.splitlines():
        progress(line)
    assert said == [
        "base: building",
        "base: built in 12 s (1 of 2)",
        "nova-api: building",
        "nova-api: built in 62 s (2 of 2)",
    ]
    assert progress.seconds == {"base": 12.0, "nova-api": 62.5}


def test_later_rounds_count_on() -> None:
    said: list[str] = []
    progress = BuildProgress(9, said.append, before=7)
    for line in OUTPUT.splitlines():
        progress(line)
    assert said[1::2] == ["base: built in 12 s (8 of 9)", "nova-api: built in 62 s (9 of 9)"]


def test_a_failed_image_is_named_with_its_last_lines_and_its_log(tmp_path: Path) -> None:
    lines = [f"INFO:kolla.common.utils.cron:line {n}" for n in range(30)]
    (tmp_path / "cron.log").write_text("\n".join([*lines, "Traceback"]) + "\n")
    summary = {
        "failed": [
            {"name": "cron-child", "status": "parent_error"},
            {"name": "cron-child-of-it", "status": "matched"},
            {"name": "cron", "status": "error"},
        ]
    }
    with pytest.raises(StageError) as caught:
        check(summary, tmp_path)
    error = caught.value
    assert error.brief == "image cron could not be built"
    assert error.log == tmp_path / "cron.log"
    shown = error.details.splitlines()
    assert shown[0] == "line 11"
    assert shown[-2:] == ["Traceback", "not built either: cron-child, cron-child-of-it"]
    assert "goes on with this one" in error.hint


def test_nothing_failed_is_no_error(tmp_path: Path) -> None:
    check({"built": [{"name": "base"}], "failed": []}, tmp_path)


def test_an_image_without_a_log_says_so(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log") == "it left no log"
