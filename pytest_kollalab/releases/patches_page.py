"""Makes the page of the docs that lists all patches, from their headers.

python -m pytest_kollalab.releases.patches_page > docs/patches.md
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

from pytest_kollalab.releases.patches import Patch, series
from pytest_kollalab.releases.releases import HERE as RELEASED
from pytest_kollalab.releases.releases import RELEASES, SHARED

PACKAGE = Path(str(resources.files("pytest_kollalab")))
HEAD = """\
# Patches

<!-- made by: python -m pytest_kollalab.releases.patches_page > docs/patches.md -->

What this project changes in others' software, each change with its reason. A patch is applied
whole, or the build ends with an error that names it. Those in `shared` are for all releases, as
tests see. With `stock = true` in `kollalab.toml` a lab
has none of them, but for what [images](images.md#stock) says.
"""
UPSTREAM = {"Applied-Upstream": "upstream since {}", "Forwarded": "sent upstream: {}"}


def folders() -> list[Path]:
    """The folders with patches, those of Kolla's releases first."""
    found = {path.parent for path in PACKAGE.rglob("patches/**/*.patch")}
    return sorted(found, key=lambda path: (not path.is_relative_to(RELEASED), path))


def listed(folder: Path) -> list[Patch]:
    """The patches in a folder, in the order of the series that lists them.

    Raises:
        ValueError: No series lists one of them.
    """
    found: dict[Path, Patch] = {}
    for own, shared in _lists(folder):
        found |= {patch.path: patch for patch in series(own, shared) if patch.path.parent == folder}
    if lost := sorted(set(folder.glob("*.patch")) - set(found)):
        raise ValueError(f"no series lists {lost[0]}")
    return list(found.values())


def _lists(folder: Path) -> list[tuple[Path, Path | None]]:
    if not folder.is_relative_to(RELEASED):
        return [(folder, None)]
    shared = SHARED / "patches" / folder.name
    everywhere = [release.data / "patches" / folder.name for release in RELEASES.values()]
    return [(own, shared) for own in everywhere if folder in (own, shared)]


def page() -> str:
    """The text of the page."""
    parts = [HEAD]
    for folder in folders():
        parts.append(f"\n## `{folder.relative_to(PACKAGE)}`\n")
        parts += [entry(patch) for patch in listed(folder)]
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
