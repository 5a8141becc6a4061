"""Patches: headers, order, and that one that does not fit is an error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_kollalab.releases import patches, patches_page
from pytest_kollalab.system.errors import StageError

ONE = """\
Description: One becomes two
 Because two is more,
 and more is better.
Project: numbers 1.0
Function: numbers, first

--- words/numbers
+++ words/numbers
@@ -1,3 +1,3 @@
-one
+two
 three
 four
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "patches"
    made.mkdir()
    (made / "one.patch").write_text(ONE)
    (made / "series").write_text("one.patch\n")
    return made


def numbers(tmp_path: Path, text: str) -> Path:
    stock = tmp_path / "stock"
    (stock / "words").mkdir(parents=True)
    (stock / "words" / "numbers").write_text(text)
    (stock / "words" / "others").write_text("")
    return stock


def test_a_patch_says_what_and_why(folder: Path) -> None:
    (found,) = patches.series(folder)
    assert found.name == "patches/one.patch"
    assert found.title == "One becomes two"
    assert found.reason == "Because two is more, and more is better."
    assert found.header["Project"] == "numbers 1.0"
    assert found.files == ("words/numbers",)


def test_no_folder_is_no_patch(tmp_path: Path) -> None:
    assert patches.series(tmp_path / "none") == []


def test_a_patch_of_several_releases_is_in_another_folder(folder: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "one.patch").write_text(ONE.replace("one becomes", "another becomes"))
    (shared / "two.patch").write_text(ONE)
    (folder / "series").write_text("two.patch\none.patch\n")
    found = patches.series(folder, shared)
    assert [patch.path for patch in found] == [shared / "two.patch", folder / "one.patch"]


def test_only_what_is_changed_is_laid(folder: Path, tmp_path: Path) -> None:
    stock = numbers(tmp_path, "one\nthree\nfour\n")
    patches.lay(patches.series(folder), stock, tmp_path / "made")
    made = tmp_path / "made" / "words"
    assert [path.name for path in made.iterdir()] == ["numbers"]
    assert (made / "numbers").read_text() == "two\nthree\nfour\n"


@pytest.mark.parametrize("text", ["one\nthree\nfive\n", "two\nthree\nfour\n", ""])
def test_what_does_not_fit_is_an_error(folder: Path, tmp_path: Path, text: str) -> None:
    with pytest.raises(StageError, match=r"the patch patches/one\.patch does not fit") as raised:
        patches.lay(patches.series(folder), numbers(tmp_path, text), tmp_path / "made")
    assert "numbers 1.0" in raised.value.details
    assert "stock = true" in raised.value.hint


def test_a_file_that_is_gone_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError, match="does not fit"):
        patches.lay(patches.series(folder), tmp_path / "elsewhere", tmp_path / "made")


FOLDERS = patches_page.folders()
# Everything that pins versions.
PINS = "\n".join(
    path.read_text()
    for pattern in (
        "tools.txt",
        "upper-constraints.txt",
        "requirements.txt",
        "go.mod",
        "checksums.sha256",
    )
    for path in patches_page.PACKAGE.rglob(pattern)
)


@pytest.mark.parametrize("path", FOLDERS, ids=lambda path: path.name)
def test_each_patch_of_ours_says_all_of_itself(path: Path) -> None:
    found = patches_page.listed(path)
    assert sorted(patch.path for patch in found) == sorted(path.glob("*.patch"))
    for patch in found:
        assert patch.title
        assert patch.reason
        assert patch.files
        name, version = patch.header["Project"].split()
        # Maven's artifacts have a group in front of their name.
        name = name.rpartition(":")[2].replace(".", "-")
        pinned = rf"{name}( |==|/){re.escape(version)}"
        assert re.search(pinned, PINS), f"{patch.name} is for another version than is pinned"
        assert patch.header["Function"]
        assert {"Forwarded", "Applied-Upstream"} & set(patch.header)


def test_the_page_is_made_from_the_headers() -> None:
    page = Path(__file__).parents[2] / "docs" / "patches.md"
    assert page.read_text() == patches_page.page(), (
        "python -m pytest_kollalab.releases.patches_page > docs/patches.md"
    )
