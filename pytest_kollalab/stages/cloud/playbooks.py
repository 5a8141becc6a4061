"""Kolla-Ansible's playbooks as a lab runs them: the stock ones, but for a wait and a way."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from pytest_kollalab.stages.cloud import toolbox

MODULE = Path("library", "kolla_toolbox.py")
CLIENT = Path("module_utils", "kollalab_toolbox.py")
READY = Path("module_utils", "kollalab_ready.py")
POLLED = Path("module_utils", "kolla_systemd_worker.py")
STOCK_DELAY = "delay = 5\n"
SHORT_DELAY = "delay = 0.2\n"
STOCK_LOOK = "if self.get_unit_state() == state:\n"
SURE_LOOK = "if self.get_unit_state() == state and as_wanted(self.container_dict, state):\n"
STOCK_IMPORT = "import os\n"
OUR_IMPORT = "from ansible.module_utils.kollalab_ready import as_wanted\n"


def mirror(stock: Path, folder: Path) -> Path:
    """Make `folder` look like the stock folder, by links, and return it.

    Kolla-Ansible starts a container's unit and asks at once whether it runs. systemd answers
    before it has begun the job, so the answer is always "dead", and the next look is five
    seconds later: a minute and a half of a deploy is spent so. It is shorter here. But a unit
    runs as soon as the client of docker does, so it is those five seconds that let the container
    start before the next task wants something of it; here the container is looked at as well,
    and what those seconds gave a head start is waited for (`ready`).
    And what is run in Kolla's toolbox is run by a process that waits for it there (`toolbox`).
    A release that spells either otherwise is left as it is.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    changed = {POLLED: patient, MODULE: toolbox.quick}
    for entry in stock.iterdir():
        name = entry.name
        files = {path.name: change for path, change in changed.items() if path.parts[0] == name}
        if files:
            _changed(entry, folder / name, files)
        else:
            (folder / name).symlink_to(entry)
    (folder / CLIENT).write_text(toolbox.client_text(), encoding="utf-8")
    (folder / READY).write_text(toolbox.on_nodes("ready.py"), encoding="utf-8")
    return folder


def _changed(stock: Path, folder: Path, files: Mapping[str, Callable[[str], str]]) -> None:
    folder.mkdir()
    for entry in stock.iterdir():
        if change := files.get(entry.name):
            text = change(entry.read_text(encoding="utf-8"))
            (folder / entry.name).write_text(text, encoding="utf-8")
        elif entry.name != "__pycache__":
            (folder / entry.name).symlink_to(entry)


def patient(text: str) -> str:
    """The text of the worker with the wait as above, or as it is."""
    if any(text.count(spelt) != 1 for spelt in (STOCK_IMPORT, STOCK_DELAY, STOCK_LOOK)):
        return text
    text = text.replace(STOCK_IMPORT, STOCK_IMPORT + OUR_IMPORT)
    return text.replace(STOCK_DELAY, SHORT_DELAY).replace(STOCK_LOOK, SURE_LOOK)


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
