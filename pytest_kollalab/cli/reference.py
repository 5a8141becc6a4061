"""Generates the shipped schema and tables of the documentation from the declared settings.

`python -m pytest_kollalab.cli.reference` updates them in a checkout.
"""

from __future__ import annotations

import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from pytest_kollalab.extensions.extensions import NOTHING
from pytest_kollalab.features import page as features
from pytest_kollalab.lab import requirements
from pytest_kollalab.settings import schema, tables
from pytest_kollalab.stages.cloud import assumed

ROOT = Path(__file__).parents[2]
# The pages that have the table of requirements, or the line with what was seen to work, and where
# the pages of the documentation are there.
SEEN = {"README.md": "docs/", "docs/releases.md": ""}
NEEDS = {
    "README.md": "docs/",
    "docs/trouble.md": "",
    "docs/libvirt.md": "",
    "examples/ci/README.md": "../../docs/",
}
NAMES = """\
# Import paths

Every name of this reference, where it is imported from. Fixtures are not imported: a test names
them as arguments.

This page is made from the code, by `python -m pytest_kollalab.cli.reference`.

| name | import | what it is |
|---|---|---|
"""


def made() -> Mapping[Path, str]:
    """The generated files with their contents."""
    docs = ROOT / "docs"
    page, performance = docs / "configuration.md", docs / "performance.md"
    pages = {page, performance, *(ROOT / path for path in (*NEEDS, *SEEN))}
    found = {each: each.read_text(encoding="utf-8") for each in pages}
    text = tables.put(found[page], "settings", tables.of_file(NOTHING.tables))
    text = tables.put(text, "environment", tables.of_environment())
    text = tables.put(text, "options", tables.of_options())
    found[page] = tables.put(text, "variables", assumed.table())
    measured = tomllib.loads((docs / "measured.toml").read_text(encoding="utf-8"))
    figures = requirements.figures(found[performance])
    lasting = requirements.durations(measured, figures)
    found[performance] = tables.put(found[performance], "durations", lasting)
    for path, there in NEEDS.items():
        needed = requirements.table(measured, figures, there)
        found[ROOT / path] = tables.put(found[ROOT / path], "requirements", needed)
    for path, there in SEEN.items():
        line = requirements.seen(measured, there)
        found[ROOT / path] = tables.put(found[ROOT / path], "seen", line)
    return found | {
        schema.shipped(): schema.text(NOTHING.tables),
        docs / "features.md": features.page(),
        docs / "api" / "names.md": names(),
    }


def names() -> str:
    """The page with the import path of every name that the API reference has."""
    rows: dict[tuple[str, str], Any] = {}
    for page in sorted((ROOT / "docs" / "api").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for module in re.findall(r"automodule:: (\S+)", text):
            found = _public(importlib.import_module(module))
            rows |= {(each.__name__, module): each for each in found}
        current = "".join(re.findall(r"currentmodule:: (\S+)", text)[:1])
        for path in re.findall(r"auto(?:class|function):: (\S+)", text):
            module, _, name = (path if "." in path else f"{current}.{path}").rpartition(".")
            rows[name, module] = getattr(importlib.import_module(module), name)
    table = [
        f"| `{name}` | {_import(module, name, each)} | {_first_line(each)} |"
        for (name, module), each in sorted(rows.items(), key=lambda row: row[0][0].lower())
    ]
    return NAMES + "\n".join(table) + "\n"


def _public(module: ModuleType) -> Iterator[Any]:
    for name, each in vars(module).items():
        kind = inspect.isclass(each) or inspect.isfunction(each)
        if kind and not name.startswith("_") and each.__module__ == module.__name__:
            yield each


def _import(module: str, name: str, each: Any) -> str:
    is_name = inspect.isclass(each) or inspect.isfunction(each)
    return f"`from {module} import {name}`" if is_name else "a fixture"


def _first_line(each: Any) -> str:
    # A fixture is an object with the function inside.
    text = inspect.getdoc(getattr(each, "__wrapped__", each)) or ""
    return text.partition("\n")[0].replace("|", "\\|")


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
