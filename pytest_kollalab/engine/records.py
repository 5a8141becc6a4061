"""Records on disk of what each stage is built from and made. Written before a build begins."""

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

# Labels that other modules search for.
LAB_LABEL, HOME_LABEL, STATE_LABEL, HOST_LABEL, USER_LABEL, MADE_LABEL = (
    f"kollalab.{name}" for name in ("lab", "home", "state", "host", "user", "made")
)

M = TypeVar("M", bound=Made)

CREATING = "creating"
READY = "ready"
FAILED = "failed"
DESTROYING = "destroying"


@dataclass(frozen=True)
class Tag:
    """The lab, stage and run that a resource belongs to. Docker has it as labels.

    Attributes:
        lab: Name of the lab.
        stage: Name of the stage.
        key: The stage's key.
        run: The run that made the resource.
        home: The path of the state folder with the lab's records.
        state: The random identity of that folder.
        host: The random identity of the host that the folder is on.
        user: The user who made the resource, as `name@host`.
        made: When it was made, as an ISO 8601 time in UTC.
    """

    lab: str
    stage: str
    key: str
    run: str
    home: str = ""
    state: str = ""
    host: str = ""
    user: str = ""
    made: str = ""

    def labels(self) -> dict[str, str]:
        """The tag as docker labels."""
        return {f"kollalab.{name}": value for name, value in asdict(self).items() if value}


@dataclass(frozen=True)
class Record:
    """What a stage was built from and what it made.

    Attributes:
        stage: The name of the stage.
        key: The digest of the inputs.
        run: The run that built the stage.
        status: `creating`, `ready`, `failed` or `destroying`.
        inputs: The inputs of the build, as JSON.
        needs: For each needed stage: the key of a shared stage, else the run that built it.
        made: The result of the build, as JSON.
        created: When the build began, as an ISO 8601 time in UTC.
        seconds: How long the build took.
        error: The first line of the error if the build failed.
        format: The version of this file format.
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
        """What the stage made, as an object.

        Raises:
            StateError: The record has no valid result of this kind.
        """
        try:
            return kind.from_json(self.made)
        except ValueError as error:
            raise StateError(
                f"the record of {self.stage} is damaged",
                details=str(error),
                hint=HINT.format(f"{self.stage}.json"),
            ) from error

    def result(self, kind: type[M]) -> M | None:
        """What the stage made, or None if it is not ready. Raises StateError."""
        return self.read(kind) if self.status == READY else None

    def with_status(self, status: str, **changes: Any) -> Record:
        return replace(self, status=status, **changes)


def now() -> str:
    """The current time for a record, as an ISO 8601 time in UTC."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def load(path: Path) -> Record | None:
    """Read a record, or return None if there is none.

    Raises:
        StateError: The record is damaged.
        NewerStateError: The record was written by a newer version.
    """
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
    """Read a record, or return None if there is none or it is damaged.

    Raises:
        NewerStateError: The record was written by a newer version.
    """
    try:
        return load(path)
    except NewerStateError:
        raise
    except StateError:
        return None


def has_records(home: Path, lab: str) -> bool:
    """Whether a lab has records in a state folder.

    A folder that cannot be read counts as one with records.
    """
    try:
        names = [path.name for path in (home / "labs" / lab).iterdir()]
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return any(name.endswith(".json") for name in names)


def save(path: Path, record: Record) -> None:
    """Write a record atomically."""
    files.write(path, json.dumps(asdict(record), indent=2, sort_keys=True) + "\n")
