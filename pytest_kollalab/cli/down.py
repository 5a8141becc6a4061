"""The verbs `down` and `destroy`: remove the lab."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.cli.frame import make_lab, setting_options, tell, verb
from pytest_kollalab.cli.orderly import orderly
from pytest_kollalab.lab.lab import Lab


@verb
@setting_options("discard_saved")
def down(**given: Any) -> None:
    """Remove the lab and everything that belongs to it; caches stay.

    It asks before it removes saved states.
    """
    _remove(make_lab((), **given))


@verb
@setting_options("discard_saved")
def destroy(**given: Any) -> None:
    """The same as `down`."""
    _remove(make_lab((), **given))


def _remove(lab: Lab) -> None:
    with orderly(lab, makes=True):
        said = lab.remove()
    tell(said)
