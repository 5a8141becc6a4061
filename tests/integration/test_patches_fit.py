"""The patches: all of them fit the pinned versions, which are downloaded."""

from __future__ import annotations

import re
import shutil
import sys
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_kollalab.releases import constraints, golang, patches, patches_page, releases
from pytest_kollalab.releases.patches import Patch
from pytest_kollalab.stages.cloud import catalogue
from pytest_kollalab.system.run import run

# The patches of each place, with the project and version that they have to fit.
ALL: dict[str, tuple[list[Patch], str]] = {}
for folder in patches_page.folders():
    if not folder.is_relative_to(releases.HERE):
        listed = patches_page.listed(folder)
        name = str(folder.relative_to(patches_page.PACKAGE))
        ALL[name] = listed, listed[0].header["Project"]
for release in releases.RELEASES.values():
    tools = constraints.pins(release.data / constraints.TOOLS)
    for of in (releases.KOLLA, releases.KOLLA_ANSIBLE):
        ALL[f"{of} {release.name}"] = release.patches(of), f"{of} {tools[of]}"
    for of in release.patched_images:
        listed = release.patches(of)
        ALL[f"{of} {release.name}"] = listed, listed[0].header["Project"]
# Where images have Python packages.
SITE = "var/lib/kolla/venv/lib/python3/site-packages"
GO = "github.com/skydive-project"

Fetch = Callable[[str], Path]


@pytest.fixture(scope="module")
def fetch(tmp_path_factory: pytest.TempPathFactory) -> Fetch:
    """Downloads a project (`name version`) and unpacks it; returns the folder."""

    def fetched(project: str) -> Path:
        name, version = project.split()
        folder = tmp_path_factory.getbasetemp() / f"{name.replace(':', '-')}-{version}"
        if folder.exists():
            return folder
        if ":" in name:
            archive = maven_sources(name, version, tmp_path_factory.mktemp("maven"))
        elif version.startswith("v"):
            archive = go_module(f"{GO}/{name}", version, folder)
        else:
            pip: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet"]
            pip += ["--no-deps", "--only-binary", ":all:", "--dest", folder]
            # They are looked into, and not run.
            pip += ["--ignore-requires-python"]
            run([*pip, f"{name}=={version}"])
            (archive,) = folder.glob("*.whl")
        with zipfile.ZipFile(archive) as file:
            file.extractall(folder)
        return folder

    return fetched


def go_module(module: str, version: str, folder: Path) -> Path:
    """Download a module from the host's first proxy for them."""
    proxy = next(each for each in golang.proxies(golang.settings()) if "://" in each)
    path = golang.path(module, version).removesuffix("info") + "zip"
    folder.mkdir()
    with urllib.request.urlopen(f"{proxy.rstrip('/')}/{path}", timeout=60) as answer:
        (folder / "module.zip").write_bytes(answer.read())
    return folder / "module.zip"


@pytest.mark.parametrize("release", releases.RELEASES)
def test_what_the_plan_knows_of_kolla_ansible_is_true(release: str, fetch: Fetch) -> None:
    pins = (releases.get(release).data / "tools.txt").read_text()
    (version,) = re.findall(r"^kolla-ansible==(\S+)", pins, re.MULTILINE)
    (share,) = fetch(f"kolla-ansible {version}").glob("*.data/data/share/kolla-ansible")
    assert catalogue.of_release(release) == catalogue.read(share), (
        f"write it anew: python -m pytest_kollalab.stages.cloud.catalogue {release} SHARE"
    )


def maven_sources(name: str, version: str, folder: Path) -> Path:
    """Have Maven download the sources of an artifact, `group:artifact`."""
    if shutil.which("mvn") is None:
        pytest.skip("there is no Maven on this host; the build of the image applies the patch, too")
    copy: list[str | Path] = ["mvn", "--batch-mode", "--quiet", f"-Dmaven.repo.local={folder}/all"]
    copy += ["dependency:copy", f"-Dartifact={name}:{version}:jar:sources"]
    run([*copy, f"-DoutputDirectory={folder}"], cwd=folder)
    (archive,) = folder.glob("*.jar")
    return archive


def root(unpacked: Path, patch: Patch, scratch: Path) -> Path:
    """The folder from which the paths in a patch count, in what was unpacked."""
    if patch.files[0].startswith(SITE):
        there = scratch / SITE
        there.parent.mkdir(parents=True)
        there.symlink_to(unpacked)
        return scratch
    places = ("*.data/data/share/*/*", "*/docker", f"{GO}/*")
    tops = (unpacked, *(top for place in places for top in unpacked.glob(place)))
    return next(top for top in tops if (top / patch.files[0]).is_file())


@pytest.mark.parametrize(("found", "project"), ALL.values(), ids=ALL)
def test_every_series_fits_what_is_pinned(
    found: list[Patch], project: str, fetch: Fetch, tmp_path: Path
) -> None:
    stock = root(fetch(project), found[0], tmp_path / "stock")
    patches.lay(found, stock, tmp_path / "made")
    for path in (tmp_path / "made").rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), path.name, "exec")
    for file in {file for patch in found for file in patch.files}:
        assert (tmp_path / "made" / file).read_text() != (stock / file).read_text()
