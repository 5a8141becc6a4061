"""Kolla-Ansible's playbooks as a lab runs them: the stock ones, but for one polling interval."""

from __future__ import annotations

import shutil
from pathlib import Path

POLLED = Path("module_utils", "kolla_systemd_worker.py")
STOCK_DELAY = "delay = 5\n"
SHORT_DELAY = "delay = 0.2\n"


def mirror(stock: Path, folder: Path) -> Path:
    """Make `folder` look like the stock folder, by links, and return it.

    Kolla-Ansible starts a container's unit and asks at once whether it runs. systemd answers
    before it has begun the job, so the answer is always "dead", and the next look is five
    seconds later: a minute and a half of a deploy is spent so. The interval alone is changed;
    a release that spells it otherwise is left as it is.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for entry in stock.iterdir():
        if entry.name != POLLED.parent.name:
            (folder / entry.name).symlink_to(entry)
    (folder / POLLED.parent).mkdir()
    for entry in (stock / POLLED.parent).iterdir():
        if entry.name == POLLED.name:
            text = entry.read_text(encoding="utf-8").replace(STOCK_DELAY, SHORT_DELAY)
            (folder / POLLED).write_text(text, encoding="utf-8")
        elif entry.name != "__pycache__":
            (folder / POLLED.parent / entry.name).symlink_to(entry)
    return folder


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
