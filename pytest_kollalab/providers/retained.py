"""The kept state: the golden state of a lab that is gone, and that its next nodes are made from."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_kollalab.system import files

FILE = "golden.json"


@dataclass(frozen=True)
class Retained:
    """What is kept of a lab: what the provider calls its state, when and by whom it was made.

    `made` is an ISO 8601 time in UTC, `size` in bytes.
    """

    label: str
    made: str
    provider: str
    size: int = 0


def folder(home: Path, lab: str) -> Path:
    """Where it is written down: a folder of state of its own, with the records of that lab."""
    return home / "golden" / lab


def read(home: Path, lab: str) -> Retained | None:
    """What is kept of a lab; None when there is nothing, or it cannot be read."""
    try:
        return Retained(**json.loads((folder(home, lab) / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(home: Path, lab: str, kept: Retained) -> None:
    """From here on destroying the lab leaves its state alone."""
    files.write(folder(home, lab) / FILE, json.dumps(asdict(kept)) + "\n")


def forget(home: Path, lab: str) -> None:
    """From here on destroying the lab removes its state as well."""
    (folder(home, lab) / FILE).unlink(missing_ok=True)
    shutil.rmtree(folder(home, lab), ignore_errors=True)
