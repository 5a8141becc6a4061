"""Records on disk: what a stage made, written before it is made."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_kollalab import owner
from pytest_kollalab.errors import NewerStateError, StateError
from pytest_kollalab.points import point

FORMAT = 1
KEY_LENGTH = 12

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

    def with_status(self, status: str, **changes: Any) -> Record:
        return replace(self, status=status, **changes)


def now() -> str:
    """The time as records tell it: ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def canonical(value: Any) -> str:
    """The one JSON text of a value, for hashing and for comparing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(*values: Any) -> str:
    """A short SHA-256 over JSON values."""
    text = "\n".join(canonical(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def load(path: Path) -> Record | None:
    """Read a record; None when there is none. Raises StateError for a damaged or newer one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    hint = f"run `kollalab down`, or delete {path} if you know that nothing of it is left"
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
    write(path, json.dumps(asdict(record), indent=2, sort_keys=True) + "\n")


def write(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace a file's text at once, durably; its folder is made when it is missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{owner.mark()}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        point("record:written")
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def append(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row of JSON to a file of such lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def changes(old: Any, new: Any, prefix: str = "") -> Iterator[str]:
    """Say, a line each, where two JSON values differ."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in sorted({*old, *new}):
            where = f"{prefix}.{name}" if prefix else str(name)
            if name not in old:
                yield f"{where} is new"
            elif name not in new:
                yield f"{where} is gone"
            else:
                yield from changes(old[name], new[name], where)
    elif isinstance(old, list) and isinstance(new, list):
        if canonical(old) != canonical(new):
            yield f"{prefix} changed"
    elif old != new:
        before, after = canonical(old), canonical(new)
        if len(before) + len(after) > 60:
            yield f"{prefix} changed"
        else:
            yield f"{prefix} changed from {before} to {after}"
