"""The file with the generated passwords of a lab's cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_kollalab.system.errors import StageError

SHORTEST_SECRET = 8


def read(path: Path) -> dict[str, object]:
    """The passwords by their names; an SSH key is a mapping with its two parts.

    Raises:
        StageError: The file is damaged.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError):
        found = None  # the message of the error might show a password
    if not isinstance(found, dict):
        raise StageError(f"{path} holds no passwords", hint="kollalab up --fresh cloud")
    return found


def secrets(passwords: dict[str, object]) -> tuple[str, ...]:
    """All texts that must not be shown; keys are split into their lines."""
    return tuple(dict.fromkeys(_texts(passwords)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str):
        for line in value.splitlines():
            if len(line) >= SHORTEST_SECRET and not line.startswith("-----"):
                yield line
