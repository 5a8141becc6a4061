"""Kolla-Ansible's playbooks as a lab runs them: the stock ones, with patches."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath

from pytest_kollalab.releases import patches
from pytest_kollalab.releases.patches import Patch
from pytest_kollalab.stages.cloud import toolbox

CLIENT = Path("module_utils", "kollalab_toolbox.py")
# The patch that has the toolbox server asked.
ASKS_SERVER = "toolbox-server.patch"
READY = Path("module_utils", "kollalab_ready.py")


def mirror(stock: Path, changes: Sequence[Patch], folder: Path) -> Path:
    """Make `folder` the stock folder, by links, with patches applied, and return it.

    What the patches import lies beside Kolla-Ansible's own module_utils. Raises StageError when
    a patch does not fit.
    """
    shutil.rmtree(folder, ignore_errors=True)
    own = {CLIENT: toolbox.client_text(), READY: toolbox.on_nodes("ready.py")}
    changed = {PurePath(file) for patch in changes for file in patch.files}
    _link(stock, folder, {*changed, *own}, PurePath())
    patches.lay(changes, stock, folder)
    for path, text in own.items():
        (folder / path).write_text(text, encoding="utf-8")
    return folder


def _link(stock: Path, folder: Path, changed: set[PurePath], below: PurePath) -> None:
    """Link all but what is changed and the folders on the way to that."""
    folder.mkdir(parents=True)
    for entry in stock.iterdir():
        here = below / entry.name
        if any(here in path.parents for path in changed):
            _link(entry, folder / entry.name, changed, here)
        elif here not in changed and entry.name != "__pycache__":
            (folder / entry.name).symlink_to(entry)


def lay_over(stock: Path, own: Path, folder: Path) -> Path:
    """Make `folder` the stock folder with what is in `own` laid over it, by links; return it.

    A feature's playbooks so find Kolla-Ansible's variables, modules and roles beside them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for entry in stock.iterdir():
        (folder / entry.name).symlink_to(entry)
    for entry in own.iterdir():
        link = folder / entry.name
        if link.is_dir() and entry.is_dir():
            # Both have it, such as `roles`: one folder with the entries of both.
            theirs = link.resolve()
            link.unlink()
            lay_over(theirs, entry, link)
        else:
            link.unlink(missing_ok=True)
            link.symlink_to(entry)
    return folder
