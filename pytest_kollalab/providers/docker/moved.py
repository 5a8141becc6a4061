"""Replaces words in what a node's docker has recorded; runs in a container, by itself.

    moved.py PATTERN MOVES FOLDER...

FOLDER is what dockerd keeps below its `data-root`; the daemon must not run. MOVES is JSON: old
word -> new word, PATTERN a regular expression that finds the old words, each as a whole. Docker
remembers there what a container was made with, and from which registry an image is. Prints how many
files have changed. It fails, and leaves a file as it was, if docker could not read it afterwards.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

FILES = ("containers/*/*.json", "containers/*/hosts", "image/*/repositories.json")


def rewritten(text: str, pattern: str, moves: Mapping[str, str]) -> str:
    """The text with each old word replaced, all in one pass."""
    return re.sub(pattern, lambda found: moves[found[0]], text)


def recorded(folder: Path) -> Iterator[Path]:
    """The files in which docker has recorded what may have moved."""
    for each in FILES:
        yield from sorted(folder.glob(each))


def move(path: Path, pattern: str, moves: Mapping[str, str]) -> bool:
    """Rewrite a file, whole or not at all; returns whether it had an old word."""
    old = path.read_text(encoding="utf-8", errors="surrogateescape")
    new = rewritten(old, pattern, moves)
    if new == old:
        return False
    if path.suffix == ".json":
        json.loads(new)
    there = path.stat()
    half = path.with_name(f"{path.name}.half")
    half.write_text(new, encoding="utf-8", errors="surrogateescape")
    half.chmod(there.st_mode & 0o7777)
    os.chown(half, there.st_uid, there.st_gid)
    half.replace(path)
    return True


def main(argv: list[str]) -> None:
    """Do what the command line says."""
    pattern, moves, *folders = argv
    known: dict[str, str] = json.loads(moves)
    paths = [path for folder in folders for path in recorded(Path(folder))]
    sys.stdout.write(f"{sum(move(path, pattern, known) for path in paths)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
