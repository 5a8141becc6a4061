"""The passwords of a lab's cloud are generated once and kept in a file of mode 0600."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from pytest_kollalab.system.run import run


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
