"""The documents: their links lead somewhere, they name every fixture, a figure stands once."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from pytest_kollalab.cli import reference
from pytest_kollalab.plugin import hooks

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "examples").rglob("*.md"),
]
FIXTURE = re.compile(r"^@pytest\.fixture[^\n]*\ndef (\w+)", re.MULTILINE)
OPT_IN = "".join((ROOT / f"pytest_kollalab/plugin/{n}.py").read_text() for n in ("leaks", "parts"))
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)")
BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def fixtures() -> set[str]:
    sources = [Path(import_module(name).__file__ or "") for name in hooks.FIXTURE_MODULES]
    return {name for path in sources for name in FIXTURE.findall(path.read_text())}


def anchors(path: Path) -> set[str]:
    """The anchors that GitHub and Sphinx give to the headings of a page."""
    heads = re.findall(r"^#+ (.+)$", BLOCK.sub("", path.read_text()), re.MULTILINE)
    return {f"#{re.sub(r'[^a-z0-9_ -]', '', head.lower()).replace(' ', '-')}" for head in heads}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for target, anchor in LINK.findall(path.read_text()):
        there = path.parent / target if target else path
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), f"{target}{anchor}"


def test_a_figure_stands_once() -> None:
    """What is measured is in one file; the pages have it in tables that are made from it."""
    measured = tomllib.loads((ROOT / "docs" / "measured.toml").read_text())
    told = [measured["first"]["up"], *(lab["up"] for lab in measured["labs"].values())]
    assert len(told) > 3
    made = re.compile(r"<!-- made from the code.*?<!-- end -->", re.DOTALL)
    for page in set(DOCUMENTS) - {ROOT / "docs" / "performance-history.md"}:
        text = made.sub("", page.read_text())
        assert [each for each in told if re.search(rf"\b{each} s\b|\| {each} ", text)] == [], page


@pytest.mark.parametrize("path", sorted(reference.made()), ids=lambda path: path.name)
def test_what_is_made_from_the_settings_is_true(path: Path) -> None:
    assert path.read_text() == reference.made()[path], (
        "write it anew: python -m pytest_kollalab.cli.reference"
    )


def test_the_readme_is_short_and_names_every_fixture() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.splitlines()) < 150
    for fixture in fixtures():
        assert f"`{fixture}`" in text


def test_the_readme_says_the_scope_of_each_fixture() -> None:
    sources = [Path(import_module(name).__file__ or "") for name in hooks.FIXTURE_MODULES]
    scoped = re.compile(r"^@pytest\.fixture(?:\(scope=\"(\w+)\"\))?\ndef (\w+)", re.MULTILINE)
    scopes = {
        name: scope or "function"
        for path in sources
        for scope, name in scoped.findall(path.read_text())
    }
    rows = re.findall(r"^\| (`.+?) \| (\w+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    told = {name: scope for names, scope in rows for name in re.findall(r"`(\w+)`", names)}
    assert len(told) > 10
    assert {name: scopes.get(name) for name in told} == told


def test_the_reference_has_every_fixture() -> None:
    text = (ROOT / "docs" / "api" / "fixtures.md").read_text()
    documented = set(re.findall(r"autofunction:: (?:\S+\.)?(\w+)", text))
    assert documented >= fixtures()
    opted = {name for name in documented if f"def {name}(" in OPT_IN}
    assert documented - opted == fixtures()


def test_each_trouble_has_its_test() -> None:
    rows = (ROOT / "docs" / "trouble.md").read_text().splitlines()
    named = {name for row in rows for name in re.findall(r"`(test_\w+)`", row)}
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 25
    assert {name for name in named if f"def {name}(" not in tests} == set()


# What our own scenarios look into, and what no other project needs.
INSIDE = (
    "pytest_kollalab.report",
    "pytest_kollalab.stages",
    "pytest_kollalab.sdn.capture.recordings",
)


def test_every_name_that_scenarios_import_has_its_import_path_in_the_reference() -> None:
    text = (ROOT / "docs" / "api" / "names.md").read_text()
    files = [*(ROOT / "scenarios").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]
    imports = {
        (node.module, alias.name)
        for path in files
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pytest_kollalab")
        for alias in node.names
    }
    missing = []
    for module, name in sorted(imports):
        # It may be imported from a module that imports it itself.
        home = getattr(getattr(import_module(str(module)), name, None), "__module__", module)
        paths = {f"from {where} import {name}`" for where in (module, home)}
        paths.add(f"| `{name}` | a fixture |")
        is_module = f"from {module}.{name} import " in text
        if not (is_module or name.isupper() or any(path in text for path in paths)):
            missing += [] if str(module).startswith(INSIDE) else [f"{module}.{name}"]
    assert missing == []


def test_every_name_of_the_reference_is_there_once() -> None:
    # Sphinx cannot tell which of two is meant.
    text = (ROOT / "docs" / "api" / "names.md").read_text()
    names = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_names_that_a_page_imports_are_there() -> None:
    text = (ROOT / "docs/extending.md").read_text()
    lines = re.findall(r"^from (pytest_kollalab\S*) import (.+)$", text, re.MULTILINE)
    named = {(module, name) for module, names in lines for name in names.split(", ")}
    assert {name for _, name in named} >= {"Feature", "Lab", "Provider", "Tenant", "setting"}
    missing = [each for each in named if not hasattr(import_module(each[0]), each[1])]
    assert missing == []
