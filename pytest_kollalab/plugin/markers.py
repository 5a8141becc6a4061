"""The markers, and their old names, which stay valid for one more release."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

FEATURE = "kollalab_feature"
BACKEND = "kollalab_backend"
SMOKE = "kollalab_smoke"
DISRUPTIVE = "kollalab_disruptive"
LINES = (
    f"{FEATURE}(name, ...): features that the lab of this test must have, deployed on its nodes",
    f"{BACKEND}(name, ...): network backends that this test is about; skipped with any other",
    f"{SMOKE}: one or two tests for each feature, quick on a lab that is up",
    f"{DISRUPTIVE}: runs alone, no other test uses the lab meanwhile",
)
# The old names, until the next release.
OLD = {"smoke": SMOKE, "disruptive": DISRUPTIVE}


def register(config: pytest.Config, *, old: bool) -> frozenset[str]:
    """Register the markers; with `old`, also by their old names.

    Returns:
        The old names that the project has registered itself, with a meaning of its own.
    """
    foreign = frozenset(OLD) & frozenset(map(_name, config.getini("markers")))
    for line in LINES:
        config.addinivalue_line("markers", line)
    for name, new in OLD.items():
        if old and name not in foreign:
            config.addinivalue_line("markers", f"{name}: the old name of {new}")
    return foreign


def is_disruptive(item: pytest.Item) -> bool:
    """Whether a test must run alone in a lab."""
    return any(item.get_closest_marker(name) is not None for name in (DISRUPTIVE, "disruptive"))


def warn_of_old(item: pytest.Item, foreign: Iterable[str]) -> None:
    """Warn about old names of markers on a test that uses a lab.

    Args:
        item: The test.
        foreign: Old names that the project uses itself. There is no warning about them, except for
            `disruptive`, because tests with this marker run alone.
    """
    for name, new in OLD.items():
        if item.get_closest_marker(name) is None or item.get_closest_marker(new) is not None:
            continue
        if name == "disruptive" or name not in foreign:
            text = f"the marker {name} is now {new}; the old name is gone in the next release"
            item.warn(pytest.PytestDeprecationWarning(text))


def _name(line: str) -> str:
    return re.split("[:(]", line, maxsplit=1)[0].strip()
