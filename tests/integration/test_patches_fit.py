"""The patches: all of them fit the pinned versions; downloads those with pip."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_kollalab.releases import patches, releases
from pytest_kollalab.system.run import run

RELEASES = list(releases.RELEASES.values())

Fetch = Callable[[str], Path]


@pytest.fixture(scope="module")
def fetch(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """Downloads the wheel of a project (`name version`) and unpacks it; returns the folder."""

    def fetched(project: str) -> Path:
        folder = tmp_path_factory.getbasetemp() / project.replace(" ", "-")
        if not folder.exists():
            requirement = project.replace(" ", "==")
            pip: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet"]
            run([*pip, "--no-deps", "--only-binary", ":all:", "--dest", folder, requirement])
            (wheel,) = folder.glob("*.whl")
            with zipfile.ZipFile(wheel) as file:
                file.extractall(folder)
        return folder

    return fetched


def check_python(folder: Path) -> None:
    for path in folder.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_kolla_ansible(release: releases.Release, fetch: Fetch, tmp_path: Path) -> None:
    found = patches.series(release.patches / "kolla-ansible")
    (project,) = {patch.header["Project"] for patch in found}
    assert project.replace(" ", "==") in (release.data / "tools.txt").read_text().split()
    (stock,) = fetch(project).glob("*.data/data/share/kolla-ansible/ansible")
    patches.lay(found, stock, tmp_path / "made")
    check_python(tmp_path / "made")
