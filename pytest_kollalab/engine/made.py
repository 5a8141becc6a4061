"""The result of a stage: an object in the program, JSON in the stage's record."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

EXTRA = "extra"


@dataclass(frozen=True, kw_only=True)
class Made:
    """Base class of what stages make. Each stage has a frozen dataclass of its own.

    Attributes:
        stage: The name of the stage.
        extra: Keys of the record that are not fields, as JSON. Another package's provider or
            another version of this package wrote them. They are written back unchanged.
    """

    stage: ClassVar[str] = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Make the object from the JSON of a record.

        Raises:
            ValueError: A key is missing or has a wrong value.
        """
        import msgspec

        names = {each.name for each in fields(cls)} - {EXTRA}
        known = {name: value for name, value in table.items() if name in names}
        rest = {name: value for name, value in table.items() if name not in names}
        return msgspec.convert({**known, EXTRA: rest}, cls, dec_hook=_decode)

    def to_json(self) -> dict[str, Any]:
        """Make the JSON for a record. Fields that are None are left out."""
        # msgspec 0.23 would leave out the default values of objects that it has read.
        table = json.loads(json.dumps(asdict(self), default=os.fspath))
        extra: dict[str, Any] = table.pop(EXTRA)
        return extra | {name: value for name, value in table.items() if value is not None}


def _decode(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"expected a {kind.__name__}, got {value!r}")
