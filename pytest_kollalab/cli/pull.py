"""The verb `pull`: a golden state of another host, for the next lab."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.cli.frame import (
    BUILD,
    GOLDEN,
    feature_option,
    lab_shown,
    setting_options,
    tell,
    verb,
)
from pytest_kollalab.cli.orderly import orderly


@verb
@setting_options(*BUILD, *GOLDEN)
@feature_option
def pull(features: tuple[str, ...], **given: Any) -> None:
    """Download the golden state that `kollalab up` with the same options would start from."""
    lab = lab_shown(features, **given)
    with orderly(lab):
        key = lab.pull()
    tell(f"golden state {key} is here")
