"""The wheel: every file of the package is in it, data and their modes too."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("pytest_kollalab-*.whl")
    return zipfile.ZipFile(path)


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "pytest_kollalab").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert package <= set(wheel.namelist())


def test_programs_stay_executable(wheel: zipfile.ZipFile) -> None:
    for info in wheel.infolist():
        path = ROOT / info.filename
        if path.is_file():
            assert bool(info.external_attr >> 16 & 0o100) == bool(path.stat().st_mode & 0o100), path


def test_only_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"pytest_kollalab"}


def test_the_wheel_says_what_it_is(wheel: zipfile.ZipFile) -> None:
    def read(name: str) -> str:
        (path,) = (each for each in wheel.namelist() if each.endswith(f".dist-info/{name}"))
        return wheel.read(path).decode()

    assert "kollalab = pytest_kollalab.plugin.hooks" in read("entry_points.txt")
    assert "kollalab = pytest_kollalab.cli:main" in read("entry_points.txt")
    assert "Classifier: Framework :: Pytest" in read("METADATA")
    assert "Apache License" in read("licenses/LICENSE")
    # On the page of an index there is nothing beside the README.
    assert "](https://" in read("METADATA")
    assert not re.search(r"\]\((?!https?:|#)", read("METADATA"))
    assert "Project-URL: Changelog" in read("METADATA")
