"""What tests ask for: features, by markers and by the fixtures in use, and the lab itself."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.plugin.markers import FEATURE

# A test whose fixtures include this one, directly or through others, uses the lab.
LAB = "kollalab"
# Rolls the lab back, which no other test could live with.
FRESH = "fresh_cloud"
# All fixtures of pytest_kollalab/features/NAME/fixtures.py ask for the feature NAME.
BUILT_IN = "pytest_kollalab.features."

# By the name of a fixture: the features that it asks for, each with the folder or file in which
# the fixture must be defined to count.
Added = Mapping[str, Iterable[tuple[str, Path]]]


def fixture_names(item: pytest.Item) -> Sequence[str]:
    """The fixtures that a test uses; what other plugins collect may have none."""
    return getattr(item, "fixturenames", ())


def uses_lab(item: pytest.Item) -> bool:
    """Whether a test uses the lab."""
    return LAB in fixture_names(item)


def features(items: Iterable[pytest.Item], added: Added) -> dict[str, list[str]]:
    """The features that tests ask for, each with the node ids of these tests.

    A fixture counts by its definition, not by its name: a project's own fixture `compute` has
    nothing to do with the feature of that name.

    Args:
        items: The tests.
        added: The fixtures of features that others bring.
    """
    found: dict[str, list[str]] = {}
    for item in items:
        names = [str(name) for mark in item.iter_markers(FEATURE) for name in mark.args]
        for definition in definitions(item):
            names += _features_of(definition, added)
        for name in names:
            found.setdefault(name, []).append(item.nodeid)
    return found


def definitions(item: pytest.Item) -> Iterator[pytest.FixtureDef[Any]]:
    """The fixture definitions that a test uses.

    One that was overridden is used only if the overriding one asks for it.
    """
    info = getattr(item, "_fixtureinfo", None)
    for name, found in info.name2fixturedefs.items() if info is not None else ():
        for definition in reversed(found):
            yield definition
            if name not in definition.argnames:
                break


def _features_of(definition: pytest.FixtureDef[Any], added: Added) -> Iterator[str]:
    module = getattr(definition.func, "__module__", None) or ""
    if module.startswith(BUILT_IN):
        yield module.removeprefix(BUILT_IN).partition(".")[0]
    for feature, place in added.get(definition.argname, ()):
        code = getattr(inspect.unwrap(definition.func), "__code__", None)
        if code is not None and Path(code.co_filename).is_relative_to(place):
            yield feature
