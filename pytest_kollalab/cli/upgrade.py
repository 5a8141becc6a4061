"""The verb `upgrade`: bring the cloud of a lab to the next release."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, progress, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@click.option("--to", metavar="RELEASE", required=True, help="The release to upgrade to.")
def upgrade(to: str, **given: Any) -> None:
    """Upgrade the cloud of a lab to the next release, where it is.

    The lab is saved first; `kollalab rollback` brings it back if the upgrade fails.
    """
    say, watching = progress()
    lab = make_lab((), builds=True, say=say, watcher=watching, **given)
    with orderly(lab):
        lab.upgrade(to)
