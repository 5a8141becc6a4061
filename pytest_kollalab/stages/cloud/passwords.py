"""Generates the passwords of a lab's cloud, once, into a file of mode 0600."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pytest_kollalab.system.run import run


def generate(venv: Path, path: Path, more: Iterable[str] = ()) -> None:
    """Write a file with all passwords that Kolla-Ansible needs.

    An existing file is not changed, so that a repeated deploy uses the same passwords.

    Args:
        venv: The virtual environment with Kolla-Ansible.
        path: The file to write.
        more: Names of further passwords to generate.
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
    # kolla-genpwd makes the file readable for the group.
    unfinished.chmod(0o600)
    unfinished.rename(path)
