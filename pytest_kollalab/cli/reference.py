"""What is made from the declared settings: the shipped schema, and tables in the documentation.

`python -m pytest_kollalab.cli.reference` writes them anew in a checkout.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_kollalab.extensions.extensions import NOTHING
from pytest_kollalab.settings import schema, tables

ROOT = Path(__file__).parents[2]


def made() -> Mapping[Path, str]:
    """The texts of the files that are made from the settings, as they ought to be."""
    page, readme = ROOT / "docs" / "configuration.md", ROOT / "README.md"
    return {
        schema.shipped(): schema.text(NOTHING.tables),
        page: tables.put(
            page.read_text(encoding="utf-8"), "settings", tables.of_file(NOTHING.tables)
        ),
        readme: tables.put(
            readme.read_text(encoding="utf-8"), "options", tables.of_options("docs/")
        ),
    }


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text, encoding="utf-8")
