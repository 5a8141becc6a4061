"""The verb `push`: a lab's golden state for other hosts."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import lab_shown, setting_options, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@setting_options("golden_registry", "registry_ca", "golden_key")
@click.option("--replace", is_flag=True, help="Push it even if there is one of its key.")
def push(replace: bool, **given: Any) -> None:
    """Push the golden state of a lab, for labs of the same configuration on other hosts."""
    lab = lab_shown((), **given)
    with orderly(lab):
        lab.push(replace=replace)
