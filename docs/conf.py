"""The documentation site: `tox -e docs` builds it, and a warning is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sphinx.errors import ExtensionError

from pytest_kollalab import __version__

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "pytest-kollalab"
author = "The pytest-kollalab authors"
copyright = author
version = release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
]
source_suffix = {".md": "markdown"}
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_title = f"pytest-kollalab {version}"
exclude_patterns = ["_build"]
myst_heading_anchors = 4
# Pages link to what is beside docs/ as well, which the site has no page of.
REPOSITORY = "https://github.com/pytest-kollalab/pytest-kollalab"
# A picture that is a link to itself: where Sphinx puts pictures, for any other link saves the file.
PICTURE = re.compile(r"\[(!\[[^]]*\]\((?:[\w-]+/)*([\w-]+\.svg)\))\]\([^)]*\2\)")
# A directive of reStructuredText, as the text of a paragraph.
DIRECTIVE = re.compile(r"<p>(\.\. [a-z-]+:[^<]*)")
OUTSIDE = re.compile(r"\]\((?:\.\./)+(?!docs/)([^)#]+)(#[^)]*)?\)")

# Docstrings write code as Markdown does.
default_role = "code"
napoleon_numpy_docstring = False
# The fields of a dataclass are documented once, where the class says what they mean.
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
autodoc_default_options = {"members": True, "undoc-members": True, "exclude-members": "__init__"}
python_use_unqualified_type_names = True


def whole(app: Sphinx, name: str, source: list[str]) -> None:
    """Have a picture that is a link to itself lead to the whole picture."""
    up = "../" * name.count("/")
    source[0] = PICTURE.sub(rf'<a href="{up}_images/\2">\1</a>', source[0])


def outside(app: Sphinx, name: str, source: list[str]) -> None:
    """Have links that lead out of docs/ lead into the repository."""
    source[0] = OUTSIDE.sub(rf"]({REPOSITORY}/blob/main/\1\2)", source[0])


def parsed(app: Sphinx, error: Exception | None) -> None:
    """Fail if a page shows a directive as text, which is no warning where it is not parsed."""
    if error is None and app.builder.format == "html":
        shown = [
            f"{page.relative_to(app.outdir)}: {directive}"
            for page in sorted(Path(app.outdir).rglob("*.html"))
            for directive in DIRECTIVE.findall(page.read_text(encoding="utf-8"))
        ]
        if shown:
            raise ExtensionError("directives that are shown as text: " + "; ".join(shown[:5]))


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", whole)
    app.connect("source-read", outside)
    app.connect("build-finished", parsed)
    return {"parallel_read_safe": True}
