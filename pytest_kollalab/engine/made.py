"""What a stage made: typed for those who build on it, JSON in its record."""

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
    """What a stage made; each stage has a frozen dataclass of its own, which names it.

    `extra` holds what the record has beyond the fields, as JSON: keys that a provider of another
    package or another version of this one wrote. They are written back as they were.
    """

    stage: ClassVar[str] = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> Self:
        """Read what a record has of it. Raises ValueError when a key is missing or wrong."""
        import msgspec

        names = {each.name for each in fields(cls)} - {EXTRA}
        known = {name: value for name, value in table.items() if name in names}
        rest = {name: value for name, value in table.items() if name not in names}
        return msgspec.convert({**known, EXTRA: rest}, cls, dec_hook=_decode)

    def to_json(self) -> dict[str, Any]:
        """The same for a record; a field that is None is left out."""
        # Not by msgspec (0.23): it leaves out the defaults of what it has read itself.
        table = json.loads(json.dumps(asdict(self), default=os.fspath))
        extra: dict[str, Any] = table.pop(EXTRA)
        return extra | {name: value for name, value in table.items() if value is not None}


def _decode(kind: type[Any], value: Any) -> Any:
    if issubclass(kind, Path) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"expected a {kind.__name__}, got {value!r}")
