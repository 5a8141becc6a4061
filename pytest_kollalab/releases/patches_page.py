"""Makes the page of the docs that lists all patches, from their headers.

python -m pytest_kollalab.releases.patches_page > docs/patches.md
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from pytest_kollalab.releases.patches import SERIES, Patch, series

PACKAGE = Path(str(resources.files("pytest_kollalab")))
HEAD = """\
# Patches

<!-- made by: python -m pytest_kollalab.releases.patches_page > docs/patches.md -->

What this project changes in others' software, each change with its reason. A patch is applied
whole, or the build ends with an error that names it. With `stock = true` in `kollalab.toml` a lab
has none of them, but for what [images](images.md#stock) says.
"""
UPSTREAM = {"Applied-Upstream": "upstream since {}", "Forwarded": "sent upstream: {}"}


def folders() -> list[Path]:
    """The folders with patches, those of Kolla's releases first."""
    found = [path.parent for path in PACKAGE.rglob(f"patches/**/{SERIES}")]
    return sorted(found, key=lambda path: (not path.is_relative_to(PACKAGE / "releases"), path))


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for folder in folders():
        parts.append(f"\n## `{folder.relative_to(PACKAGE)}`\n")
        parts += [entry(patch) for patch in series(folder)]
    return "".join(parts)


def entry(patch: Patch) -> str:
    """The entry of a patch on the page."""
    header = patch.header
    state = "; ".join(
        text.format(" ".join(header[name].split()))
        for name, text in UPSTREAM.items()
        if name in header
    )
    return (
        f"\n### {patch.title}\n\n{patch.reason}\n\n"
        f"- `{patch.path.name}`, for {header['Project']}: {header['Function']}\n- {state}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
