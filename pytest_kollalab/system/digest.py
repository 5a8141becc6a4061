"""Digests of files and of JSON values, and the differences between two values."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

KEY_LENGTH = 12


def canonical(value: Any) -> str:
    """The canonical JSON text of a value, for hashing and comparing."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def digest(*values: Any) -> str:
    """A shortened SHA-256 digest of JSON values."""
    text = "\n".join(canonical(value) for value in values)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


def sha256_of(path: Path) -> str:
    """The SHA-256 digest of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def changes(old: Any, new: Any, prefix: str = "") -> Iterator[str]:
    """Yield a line for each difference between two JSON values."""
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
