"""The build: progress from kolla-build's output, and what a failed image says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.features import image_folders
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.images import registry, render
from pytest_kollalab.stages.images.build import BuildProgress, check, tail
from pytest_kollalab.stages.images.stage import ImagesStage
from pytest_kollalab.stages.images.stored import StoredImagesStage
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.files import write
from pytest_kollalab.system.paths import Paths

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


def test_all_rounds_are_counted_together(
    tmp_path: Path, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kolla's images, then those of each folder: what is built, and what is copied."""
    folders = []
    for name, parent in {"hello": "openstack-base", "agent": "neutron-base"}.items():
        text = f"FROM {{{{ namespace }}}}/{{{{ image_prefix }}}}{parent}:{{{{ tag }}}}\nRUN true\n"
        write(tmp_path / name / name / "Dockerfile.j2", text)
        folders.append(image_folders.read(tmp_path / name))
    parents = {"keystone": "openstack-base", "openstack-base": "base", "base": ""}
    rendered = render.Rendered("t", {**parents, "neutron-base": "openstack-base"})
    monkeypatch.setattr(registry, "exists", lambda _, reference: reference == "kolla/base:t")
    stage = ImagesStage(Config(), Options(), paths, names=["keystone"], folders=folders)
    client: Any = None
    # keystone, openstack-base and neutron-base; hello and agent
    assert stage._to_build(rendered, ["keystone"], client) == 5
    # Parents stay in docker.
    assert stage._to_copy(["keystone"], "t") == 3
    copies = registry.Copies(3)
    assert [copies.next() for _ in range(3)] == ["1 of 3", "2 of 3", "3 of 3"]


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


def test_git_that_is_not_there_is_told_before_anything_is_built(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kolla-build asks it for its version when it is imported, after the base image is made."""
    stage = ImagesStage(Config(), Options(), paths, names=["keystone"])
    monkeypatch.setattr(StoredImagesStage, "check_sources", lambda _: None)
    stage.check_sources()
    monkeypatch.setenv("PATH", str(paths.cache))
    with pytest.raises(StageError, match="git is not installed") as caught:
        stage.check_sources()
    assert "kollalab bootstrap" in caught.value.hint
