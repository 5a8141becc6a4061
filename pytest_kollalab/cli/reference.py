"""Generates the shipped schema and tables of the documentation from the declared settings.

`python -m pytest_kollalab.cli.reference` updates them in a checkout.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_kollalab.extensions.extensions import NOTHING
from pytest_kollalab.settings import schema, tables
from pytest_kollalab.stages.cloud import assumed

ROOT = Path(__file__).parents[2]


def made() -> Mapping[Path, str]:
    """The generated files with their contents."""
    page, readme = ROOT / "docs" / "configuration.md", ROOT / "README.md"
    text = page.read_text(encoding="utf-8")
    text = tables.put(text, "settings", tables.of_file(NOTHING.tables))
    text = tables.put(text, "environment", tables.of_environment())
    return {
        schema.shipped(): schema.text(NOTHING.tables),
        page: tables.put(text, "variables", assumed.table()),
        readme: tables.put(
            readme.read_text(encoding="utf-8"), "options", tables.of_options("docs/")
        ),
    }


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
