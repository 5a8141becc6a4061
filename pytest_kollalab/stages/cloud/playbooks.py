"""Kolla-Ansible's playbooks with patches and with the playbooks of features."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path, PurePath

from pytest_kollalab.releases import patches
from pytest_kollalab.releases.patches import Patch
from pytest_kollalab.stages.cloud import toolbox
from pytest_kollalab.system import files

CLIENT = Path("module_utils", "kollalab_toolbox.py")
# The patch that makes Kolla-Ansible use the toolbox server.
ASKS_SERVER = "toolbox-server.patch"
READY = Path("module_utils", "kollalab_ready.py")


def mirror(stock: Path, changes: Sequence[Patch], folder: Path) -> Path:
    """Make a copy of the stock playbooks with patches applied. Other files are linked.

    The modules that the patches import are added to Kolla-Ansible's own module_utils.

    Args:
        stock: The folder of the stock playbooks.
        changes: The patches to apply.
        folder: The folder to make. An existing one is replaced.

    Returns:
        `folder`.

    Raises:
        StageError: A patch does not fit.
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
    """Link everything except changed files and the folders that contain them."""
    files.private(folder)
    for entry in stock.iterdir():
        here = below / entry.name
        if any(here in path.parents for path in changed):
            _link(entry, folder / entry.name, changed, here)
        elif here not in changed and entry.name != "__pycache__":
            (folder / entry.name).symlink_to(entry)


def lay_over(stock: Path, own: Path, folder: Path) -> Path:
    """Make a folder with links to the entries of `stock` and `own`. Those of `own` win.

    A feature's playbooks then have Kolla-Ansible's variables, modules and roles beside them.

    Args:
        stock: The folder of Kolla-Ansible's playbooks.
        own: The folder of a feature's playbooks.
        folder: The folder to make. An existing one is replaced.

    Returns:
        `folder`.
    """
    shutil.rmtree(folder, ignore_errors=True)
    files.private(folder)
    for entry in stock.iterdir():
        (folder / entry.name).symlink_to(entry)
    for entry in own.iterdir():
        link = folder / entry.name
        if link.is_dir() and entry.is_dir():
            # Merge folders that both have, such as `roles`.
            theirs = link.resolve()
            link.unlink()
            lay_over(theirs, entry, link)
        else:
            link.unlink(missing_ok=True)
            link.symlink_to(entry)
    return folder
