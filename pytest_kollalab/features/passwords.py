"""The generated passwords of a lab's cloud, as a file has them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pytest_kollalab.system.errors import StageError

SHORTEST_SECRET = 8


def read(path: Path) -> dict[str, object]:
    """The passwords by their names; SSH keys are mappings of two."""
    import yaml

    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise StageError(f"{path} holds no passwords", hint="kollalab up --fresh cloud")
    return found


def secrets(passwords: dict[str, object]) -> tuple[str, ...]:
    """Every text that must not be shown; the lines of a key one by one."""
    return tuple(dict.fromkeys(_texts(passwords)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, str):
        for line in value.splitlines():
            if len(line) >= SHORTEST_SECRET and not line.startswith("-----"):
                yield line
