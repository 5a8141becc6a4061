"""The passwords of a lab's cloud: generated once, kept 0600, never shown."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_kollalab.errors import StageError
from pytest_kollalab.run import run

SHORTEST_SECRET = 8


def generate(venv: Path, path: Path, more: Iterable[str] = ()) -> None:
    """Write a file with a value for all that Kolla-Ansible wants a secret for, and for `more`.

    An existing file stays as it is: a deploy that is run again must find the same passwords.
    """
    if path.exists():
        return
    example = venv / "share" / "kolla-ansible" / "etc_examples" / "kolla" / "passwords.yml"
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(example.read_text(encoding="utf-8"))
        file.writelines(f"{name}:\n" for name in more)
    run([venv / "bin" / "kolla-genpwd", "-p", unfinished])
    # kolla-genpwd insists on letting the group read it.
    unfinished.chmod(0o600)
    unfinished.rename(path)


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
