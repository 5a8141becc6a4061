"""Puts images into the store of a registry; runs in a container, by itself.

Standard input is JSON: `store` is the folder that has `blobs` and `repositories`, `from` one with
blobs by their digests, and `images` has for each repository and tag the digests of the manifest and
of all other blobs. Blobs are linked, where they can be. The tag is written last.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

HALF = ".half"


def write(path: Path, text: str) -> None:
    """Have a file with a text, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_name(path.name + HALF)
    half.write_text(text)
    half.replace(path)


def link(source: Path, target: Path) -> None:
    """Have a file there as well."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        half = target.with_name(target.name + HALF)
        shutil.copyfile(source, half)
        half.replace(target)


def lay(store: Path, blobs: Path, reference: str, digests: list[str]) -> None:
    """Have an image in the store."""
    repository, _, tag = reference.rpartition(":")
    mine = store / "repositories" / repository
    for digest in digests:
        plain = digest.partition(":")[2]
        link(blobs / plain, store / "blobs" / "sha256" / plain[:2] / plain / "data")
    manifest, *parts = digests
    for digest in parts:
        write(mine / "_layers" / "sha256" / digest.partition(":")[2] / "link", digest)
    plain = manifest.partition(":")[2]
    manifests = mine / "_manifests"
    write(manifests / "revisions" / "sha256" / plain / "link", manifest)
    write(manifests / "tags" / tag / "index" / "sha256" / plain / "link", manifest)
    write(manifests / "tags" / tag / "current" / "link", manifest)


def main() -> None:
    """Do what standard input says."""
    plan = json.load(sys.stdin)
    for reference, digests in plan["images"].items():
        lay(Path(plan["store"]), Path(plan["from"]), reference, digests)


if __name__ == "__main__":
    main()
