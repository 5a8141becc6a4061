"""The retained golden state: that of a lab that is gone; its next nodes are made from it."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_kollalab.system import files

FILE = "golden.json"


@dataclass(frozen=True)
class Retained:
    """What is retained of a lab: the provider's name for its state, and when it was made by whom.

    `made` is an ISO 8601 time in UTC, `size` in bytes.
    """

    label: str
    made: str
    provider: str
    size: int = 0


def folder(home: Path, lab: str) -> Path:
    """The folder that describes it, with the records of that lab."""
    return home / "golden" / lab


def read(home: Path, lab: str) -> Retained | None:
    """What is retained of a lab; None if there is nothing, or it cannot be read."""
    try:
        return Retained(**json.loads((folder(home, lab) / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write(home: Path, lab: str, kept: Retained) -> None:
    """Record it: from now on `destroy` leaves the state of the lab alone."""
    files.write(folder(home, lab) / FILE, json.dumps(asdict(kept)) + "\n")


def forget(home: Path, lab: str) -> None:
    """Remove the record: from now on `destroy` removes the state of the lab as well."""
    (folder(home, lab) / FILE).unlink(missing_ok=True)
    shutil.rmtree(folder(home, lab), ignore_errors=True)
