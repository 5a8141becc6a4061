"""Records on disk: what a stage made, written before it is made."""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pytest_kollalab.engine.made import Made
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import NewerStateError, StateError

FORMAT = 1
HINT = "run `kollalab down`, or delete {} if you know that nothing of it is left"

# The labels of a tag that others look for.
LAB_LABEL, HOME_LABEL = "kollalab.lab", "kollalab.home"

M = TypeVar("M", bound=Made)

CREATING = "creating"
READY = "ready"
FAILED = "failed"
DESTROYING = "destroying"


@dataclass(frozen=True)
class Tag:
    """Who a resource belongs to. `home` is the folder of state in which the lab has its records."""

    lab: str
    stage: str
    key: str
    run: str
    home: str = ""

    def labels(self) -> dict[str, str]:
        """The tag as docker labels."""
        return {f"kollalab.{name}": value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Record:
    """What a stage was built from and what it made.

    `status` is creating, ready, failed or destroying. `inputs` and `made` are JSON. `needs` maps
    each stage that this one builds on to the run that had built it. `created` is an ISO 8601 time
    in UTC, `seconds` how long the build took, `error` the brief of a failure.
    """

    stage: str
    key: str
    run: str
    status: str
    inputs: Mapping[str, Any]
    needs: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    seconds: float = 0.0
    error: str = ""
    format: int = FORMAT

    def read(self, kind: type[M]) -> M:
        """What the stage made, typed. Raises StateError when that is not in the record."""
        try:
            return kind.from_json(self.made)
        except ValueError as error:
            raise StateError(
                f"the record of {self.stage} is damaged",
                details=str(error),
                hint=HINT.format(f"{self.stage}.json"),
            ) from error

    def with_status(self, status: str, **changes: Any) -> Record:
        return replace(self, status=status, **changes)


def now() -> str:
    """The time as records tell it: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load(path: Path) -> Record | None:
    """Read a record; None when there is none. Raises StateError for a damaged or newer one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    hint = HINT.format(path)
    try:
        table = json.loads(text)
        found = table["format"]
        if isinstance(found, int) and found > FORMAT:
            raise NewerStateError(
                f"{path} was written by a newer pytest-kollalab",
                details=f"its format is {found}, this version knows {FORMAT}",
                hint="use the newer version, or run its `kollalab down` first",
            )
        return Record(**table)
    except (ValueError, TypeError, KeyError) as error:
        raise StateError(f"{path} is damaged", details=repr(error), hint=hint) from error


def load_if_whole(path: Path) -> Record | None:
    """Read a record; None when there is none or it is damaged. Raises NewerStateError."""
    try:
        return load(path)
    except NewerStateError:
        raise
    except StateError:
        return None


def has_records(home: Path, lab: str) -> bool:
    """Whether a lab has records below a folder of state; one that is closed to us counts."""
    try:
        names = [path.name for path in (home / "labs" / lab).iterdir()]
    except PermissionError:
        return True
    except OSError:
        return False
    return any(name.endswith(".json") for name in names)


def save(path: Path, record: Record) -> None:
    """Write a record so that it is either the old one or the new one, whatever happens."""
    files.write(path, json.dumps(asdict(record), indent=2, sort_keys=True) + "\n")
