"""The documents: their links lead somewhere, and they name every option and fixture."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from pytest_kollalab.plugin import hooks
from pytest_kollalab.settings.config import Config, Options

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text()):
        assert (path.parent / target).exists(), target


def test_the_readme_is_short_and_names_every_option_and_fixture() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    source = Path(hooks.__file__).read_text()
    for option in re.findall(r'^    add\(\s*"(\w+)"', source, re.MULTILINE):
        assert f"--kollalab-{option}" in text
    for fixture in hooks.__all__:
        assert f"`{fixture}`" in text


def test_the_reference_has_every_fixture() -> None:
    text = (ROOT / "docs" / "api" / "fixtures.md").read_text()
    documented = set(re.findall(r"autofunction:: (?:\S+\.)?(\w+)", text))
    assert documented == set(hooks.__all__)


def test_each_trouble_has_its_test() -> None:
    rows = (ROOT / "docs" / "trouble.md").read_text().splitlines()
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 25
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_the_page_on_configuration_names_every_key() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    known = {field.name for kind in (Config, Options) for field in dataclasses.fields(kind)}
    for key in known - {"images", "fresh"}:
        assert re.search(rf"^(\[{key}\]|{key} = )", text, re.MULTILINE), key
