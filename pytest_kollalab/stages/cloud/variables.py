"""The variables of Kolla-Ansible: which ones a release knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

SHARE = Path("share") / "kolla-ansible"
# Where a release defines its variables, below that folder, and where it shows those without a
# default, as comments.
DEFINED = (
    "ansible/group_vars/all.yml",
    "ansible/group_vars/all/*.yml",
    "ansible/roles/*/defaults/*.yml",
    "ansible/roles/*/vars/*.yml",
)
SHOWN = "etc_examples/kolla/globals.yml"
NAME = re.compile(r"^([A-Za-z_]\w*):", re.MULTILINE)
COMMENTED = re.compile(r"^#?\s?([A-Za-z_]\w*):", re.MULTILINE)
# Ansible's own, about connections and the like.
FOREIGN = ("ansible_",)


def known(venv: Path) -> frozenset[str]:
    """The names that the Kolla-Ansible in a virtual environment knows; empty without one."""
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
    """Raise ConfigError for the first name that the release does not know, with the nearest one.

    Without Kolla-Ansible, before the tools are built, nothing can be said.
    """
    wanted = [name for name in names if not name.startswith(FOREIGN)]
    if not wanted:
        return
    there = known(venv)
    for name in wanted if there else ():
        if name not in there:
            raise ConfigError(
                f"Kolla-Ansible of {release} knows no variable {name}",
                details="a value that nothing reads would change nothing",
                hint=_hint(name, there),
            )


def _hint(name: str, there: frozenset[str]) -> str:
    said = nearest(name, there)
    # The list of all of them is of no help: there are thousands.
    return said if said.startswith("did you mean") else "take it out of [globals]"
