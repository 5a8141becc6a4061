"""The verb `push`: a lab's golden state for other hosts."""

from __future__ import annotations

from typing import Any

import click

from pytest_kollalab.cli.frame import lab_to_build, progress, read_settings, setting_options, verb
from pytest_kollalab.cli.orderly import orderly


@verb
@setting_options("golden_registry", "registry_ca", "golden_key")
@click.option("--replace", is_flag=True, help="Push it even if there is one of its key.")
def push(replace: bool, **given: Any) -> None:
    """Push the golden state of a lab, for labs of the same configuration on other hosts."""
    say, watching = progress()
    lab = lab_to_build(read_settings(**given), (), say=say, watcher=watching)
    with orderly(lab):
        lab.push(replace=replace)
