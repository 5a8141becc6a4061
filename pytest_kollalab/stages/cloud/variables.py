"""The variables that a release of Kolla-Ansible knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

SHARE = Path("share") / "kolla-ansible"
# The files below SHARE that define variables, and the one that shows variables without a default
# value as comments.
DEFINED = (
    "ansible/group_vars/all.yml",
    "ansible/group_vars/all/*.yml",
    "ansible/roles/*/defaults/*.yml",
    "ansible/roles/*/vars/*.yml",
)
SHOWN = "etc_examples/kolla/globals.yml"
NAME = re.compile(r"^([A-Za-z_]\w*):", re.MULTILINE)
COMMENTED = re.compile(r"^#?\s?([A-Za-z_]\w*):", re.MULTILINE)
# Variables of Ansible itself, for example for connections.
FOREIGN = ("ansible_",)


def known(venv: Path) -> frozenset[str]:
    """The variables of the Kolla-Ansible in a virtual environment. Empty if there is none."""
    share = venv / SHARE
    found: set[str] = set()
    for pattern in DEFINED:
        for path in share.glob(pattern):
            found.update(NAME.findall(path.read_text(encoding="utf-8")))
    shown = share / SHOWN
    if shown.is_file():
        found.update(COMMENTED.findall(shown.read_text(encoding="utf-8")))
    return frozenset(found)


def check(names: Iterable[str], venv: Path, release: str) -> None:
    """Check that Kolla-Ansible knows all variables.

    Nothing is checked if Kolla-Ansible is not installed yet.

    Raises:
        ConfigError: A variable is unknown. The hint names a similar one.
    """
    wanted = [name for name in names if not name.startswith(FOREIGN)]
    if not wanted:
        return
    there = known(venv)
    for name in wanted if there else ():
        if name not in there:
            raise ConfigError(
                f"Kolla-Ansible of {release} knows no variable {name}",
                details="setting it would have no effect",
                hint=_hint(name, there),
            )


def _hint(name: str, there: frozenset[str]) -> str:
    said = nearest(name, there)
    # Do not list all variables: there are thousands.
    return said if said.startswith("did you mean") else "take it out of [globals]"
