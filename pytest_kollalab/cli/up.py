"""The verb `up`: build what is missing."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.cli.frame import (
    BUILD,
    GOLDEN,
    asked_verbosity,
    feature_option,
    lab_shown,
    setting_options,
    tell,
    verb,
)
from pytest_kollalab.cli.orderly import orderly
from pytest_kollalab.cli.show import show_lab
from pytest_kollalab.system import files
from pytest_kollalab.system.telling import telling


@verb
@setting_options(*BUILD, *GOLDEN)
@feature_option
def up(features: tuple[str, ...], **given: Any) -> None:
    """Build what is missing, until the cloud is healthy."""
    lab = lab_shown(features, **given)
    try:
        with orderly(lab, makes=True):
            lab.up()
    finally:
        summary = lab.summary(stays=lab.exists())
        with telling():
            folder = lab.paths.state / "summaries" / lab.name
            files.private(folder)
            summary.write(folder)
        for line in summary.lines() if asked_verbosity() >= 0 else summary.kept_lines():
            tell(line)
    show_lab(lab, **given)
