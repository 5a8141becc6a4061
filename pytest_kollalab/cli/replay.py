"""The verb `replay`: run the playbooks of features again on a lab, as it is."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import make_lab, progress, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@click.argument("features", nargs=-1, required=True)
def replay(features: tuple[str, ...], **given: Any) -> None:
    """Run the playbooks of features again on the cloud of a lab, without new nodes.

    For who writes such a playbook: the lab is then not what a new one would be.
    """
    say, watching = progress()
    lab = make_lab((), builds=True, say=say, watcher=watching, **given)
    with orderly(lab):
        lab.replay(features)
