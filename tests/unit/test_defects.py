"""The registry of upstream's defects: its tests, its page, and the versions that it speaks of."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from pytest_kollalab import features
from pytest_kollalab.releases.releases import RELEASES
from scenarios import defects
from scenarios.defects import DEFECTS, SCENARIOS, Defect, marked_tests

PINNED = re.compile(r"^([\w-]+)={2,3}([\w.]+)", re.MULTILINE)


def test_every_defect_has_a_test_and_every_test_a_defect() -> None:
    assert {marked.id for marked in marked_tests()} == set(DEFECTS)


def test_ids_are_unique() -> None:
    assert len({each.id for each in defects.ENTRIES}) == len(defects.ENTRIES)


def test_only_the_marker_makes_expected_failures() -> None:
    found = [
        f"{path.relative_to(SCENARIOS)}:{node.lineno}"
        for path in sorted(SCENARIOS.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "xfail" and path.name != "conftest.py"
    ]
    assert found == []


def test_every_use_of_the_marker_is_seen() -> None:
    written = "".join(path.read_text() for path in SCENARIOS.rglob("test_*.py"))
    assert written.count(f"mark.{defects.MARKER}") == len(marked_tests())


def test_the_page_is_made_from_the_registry() -> None:
    assert defects.PAGE.read_text() == defects.page(), "run python -m scenarios.defects"


def test_the_page_names_what_a_reader_needs() -> None:
    page = defects.page()
    for marked in marked_tests():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{marked.id}` ")]
        defect = DEFECTS[marked.id]
        for told in (marked.test, defect.behaviour, defect.module, defect.function, defect.since):
            assert told in row


@pytest.mark.parametrize("defect", DEFECTS.values(), ids=lambda defect: defect.id)
def test_versions_are_those_of_the_releases(defect: Defect) -> None:
    """A defect was seen in a version: with a new one somebody has to look again."""
    assert defect.versions
    for release, version in defect.versions.items():
        assert version in set(_pinned(release, defect.project)), f"look at {defect.id} again"
    assert date.fromisoformat(defect.since) < date(2100, 1, 1)
    assert "|" not in defect.behaviour


def test_a_defect_holds_for_its_releases_alone() -> None:
    defect = Defect("id", "project", {"2026.1": "1.0"}, "Bad.", "a/b.py", "f", "2026-11-25")
    assert defect.holds_for("2026.1")
    assert not defect.holds_for("2026.2")
    assert defect.reason("2026.1") == "id: Bad. (project 1.0, a/b.py, f)"


def _pinned(release: str, project: str) -> Iterator[str]:
    for source in RELEASES[release].sources:
        if source.project == project:
            yield source.version
    images = Path(str(features.__file__)).parent.glob("*/images/*/requirements.txt")
    data = RELEASES[release].data
    for path in (data / "requirements" / "upper-constraints.txt", data / "tools.txt", *images):
        yield from (
            version for name, version in PINNED.findall(path.read_text()) if name == project
        )
    # What Maven gets is named by its path, .../PROJECT/VERSION/FILE.
    for path in Path(str(features.__file__)).parent.rglob("checksums.sha256"):
        yield from re.findall(rf"/{re.escape(project)}/([^/]+)/", path.read_text())
