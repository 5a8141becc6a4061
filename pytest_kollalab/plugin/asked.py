"""What tests ask for: the lab, and features through markers and fixtures."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.plugin.markers import BACKEND, FEATURE
from pytest_kollalab.settings.config import NetworkConfig
from pytest_kollalab.settings.declare import settings
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

# A test whose fixtures include this one, directly or through others, uses the lab.
LAB = "kollalab"
# Makes the nodes, and the cloud, if they are not there.
NODES = "lab_nodes"
CLOUD = "openstack_cloud"
# Rolls the lab back, so no other test may run at the same time.
FRESH = "fresh_cloud"
# Fixtures of this package that are about one network backend.
OF_BACKENDS = {"ovn": "ovn"}
FIXTURES = "pytest_kollalab.plugin.fixtures"
# All fixtures of pytest_kollalab/features/NAME/fixtures.py ask for the feature NAME.
BUILT_IN = "pytest_kollalab.features."

# For each name of a fixture: the features that it asks for, each with the folder or file in which
# the fixture must be defined.
Added = Mapping[str, Iterable[tuple[str, Path]]]


def fixture_names(item: pytest.Item) -> Sequence[str]:
    """The fixtures that a test uses; items of other plugins may have none."""
    return getattr(item, "fixturenames", ())


def uses_lab(item: pytest.Item) -> bool:
    """Whether a test uses the lab."""
    return LAB in fixture_names(item)


def features(items: Iterable[pytest.Item], added: Added) -> dict[str, list[str]]:
    """The features that tests ask for, each with the node ids of these tests.

    What counts is where a fixture is defined, not its name: a project's own fixture `compute` does
    not ask for the feature `compute`.

    Args:
        items: The tests.
        added: The fixtures of features that plugins add.
    """
    found: dict[str, list[str]] = {}
    for item in items:
        names = [name for mark in item.iter_markers(FEATURE) for name in _named(item, mark)]
        for definition in definitions(item):
            names += _features_of(definition, added)
        for name in names:
            found.setdefault(name, []).append(item.nodeid)
    return found


def have_cloud(items: Iterable[pytest.Item], added: Added) -> None:
    """Have tests that ask for a feature wait for the cloud, which has the feature.

    A feature's fixture may itself need no more than the nodes, or nothing. A test with the marker
    waits if it uses the nodes; with the images alone it wants those of the feature.

    Args:
        items: The tests.
        added: The fixtures of features that plugins add.
    """
    for item in items:
        names = getattr(item, "fixturenames", None)
        if isinstance(names, list) and _is_of_session(item, LAB) and CLOUD not in names:
            used = (_features_of(definition, added) for definition in definitions(item))
            is_marked = NODES in names and item.get_closest_marker(FEATURE) is not None
            if is_marked or any(True for features in used for _ in features):
                # The first one is set up first.
                names.insert(0, CLOUD)


def _is_of_session(item: pytest.Item, name: str) -> bool:
    """Whether a test uses a fixture that may be used for the whole session."""
    info = getattr(item, "_fixtureinfo", None)
    found = info.name2fixturedefs.get(name, ()) if info is not None else ()
    return any(definition.scope == "session" for definition in found[-1:])


def unfit(item: pytest.Item, backend: str) -> str | None:
    """Why a test is not run with a network backend: it is about others. None if it is run.

    Args:
        item: The test.
        backend: The name of the network backend.

    Raises:
        ConfigError: A marker names no network backend, or one that is not known.
    """
    wanted = [_backends(item, mark) for mark in item.iter_markers(BACKEND)]
    wanted += [
        (OF_BACKENDS[each.argname],)
        for each in definitions(item)
        if each.argname in OF_BACKENDS and getattr(each.func, "__module__", "") == FIXTURES
    ]
    for names in wanted:
        if backend not in names:
            return f"it is about the network backend {' or '.join(names)}, the lab has {backend}"
    return None


def _backends(item: pytest.Item, mark: pytest.Mark) -> Sequence[str]:
    names = _names(item, mark, BACKEND, "network backends", 'write @pytest.mark.{}("ovs")')
    known = settings(NetworkConfig)["backend"].choices
    for name in names:
        if name not in known:
            raise ConfigError(
                f"there is no network backend {name!r}",
                details=f"{item.nodeid} has the marker {BACKEND}",
                hint=nearest(name, known),
            )
    return names


def _named(item: pytest.Item, mark: pytest.Mark) -> Sequence[str]:
    return _names(item, mark, FEATURE, "features", 'write @pytest.mark.{}("sfc", "bgpvpn")')


def _names(
    item: pytest.Item, mark: pytest.Mark, marker: str, what: str, hint: str
) -> Sequence[str]:
    if mark.args and not mark.kwargs and all(isinstance(name, str) for name in mark.args):
        return mark.args
    given = ", ".join([*map(repr, mark.args), *(f"{k}={v!r}" for k, v in mark.kwargs.items())])
    raise ConfigError(
        f"the marker {marker} takes names of {what}",
        details=f"{item.nodeid} has {marker}({given})",
        hint=hint.format(marker),
    )


def definitions(item: pytest.Item) -> Iterator[pytest.FixtureDef[Any]]:
    """The fixture definitions that a test uses.

    An overridden fixture is used only if the overriding one requests it.
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
