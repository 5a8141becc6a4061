"""Generates the passwords of a lab's cloud, each once, into a file of mode 0600."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pytest_kollalab.system.run import run


def generate(venv: Path, path: Path, more: Iterable[str] = ()) -> None:
    """Write a file with all passwords that Kolla-Ansible needs.

    Passwords that an existing file has stay, so that a repeated deploy uses the same ones.

    Args:
        venv: The virtual environment with Kolla-Ansible.
        path: The file to write.
        more: Names of further passwords to generate.
    """
    import yaml

    def read(file: Path) -> dict[str, Any]:
        return yaml.safe_load(file.read_text(encoding="utf-8")) or {}

    example = venv / "share" / "kolla-ansible" / "etc_examples" / "kolla" / "passwords.yml"
    known = read(path) if path.exists() else {}
    wanted = dict.fromkeys(more) | read(example)
    if known and wanted.keys() <= known.keys():
        return
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        yaml.safe_dump(wanted | known, file)
    run([venv / "bin" / "kolla-genpwd", "-p", unfinished])
    # kolla-genpwd makes the file readable for the group.
    unfinished.chmod(0o600)
    unfinished.rename(path)
