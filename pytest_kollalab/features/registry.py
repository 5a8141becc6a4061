"""The features that can be asked for: the built-in ones, and those that others add."""

from __future__ import annotations

import importlib
from collections.abc import Iterable

from pytest_kollalab.features.base import Feature
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

CORE = "core"
BUILT_IN = (CORE, "compute", "sfc", "bgpvpn", "skydive")


class FeatureRegistry:
    """The features that can be asked for: the built-in ones, and those that others add."""

    def __init__(self) -> None:
        self._added: dict[str, Feature] = {}

    def add(self, feature: Feature) -> None:
        """Make a feature known. Raises ConfigError when its name is taken."""
        if feature.name in self.names():
            raise ConfigError(
                f"there are two features named {feature.name!r}",
                hint="give the one that is not part of this package another name",
            )
        self._added[feature.name] = feature

    def names(self) -> tuple[str, ...]:
        """The names of all known features."""
        return (*BUILT_IN, *self._added)

    def get(self, name: str) -> Feature:
        """The feature of that name. Raises ConfigError with the nearest name."""
        if name in self._added:
            return self._added[name]
        if name not in BUILT_IN:
            raise ConfigError(f"there is no feature {name!r}", hint=nearest(name, self.names()))
        module = importlib.import_module(f"{__package__}.{name}.feature")
        found = module.FEATURE
        assert isinstance(found, Feature)
        return found

    def resolve(self, wanted: Iterable[str]) -> tuple[Feature, ...]:
        """The features asked for and all that they require, `core` first, each once.

        The order does not depend on the order of asking. Raises ConfigError for unknown names.
        """
        found: dict[str, Feature] = {}
        for name in (CORE, *sorted(set(wanted))):
            self._visit(name, found)
        return tuple(found.values())

    def _visit(self, name: str, found: dict[str, Feature]) -> None:
        if name in found:
            return
        feature = self.get(name)
        for required in feature.requires:
            self._visit(required, found)
        found[name] = feature


REGISTRY = FeatureRegistry()


def resolve(wanted: Iterable[str]) -> tuple[Feature, ...]:
    """The features asked for and all that they require, from the one registry."""
    return REGISTRY.resolve(wanted)


def built_in() -> list[Feature]:
    """The features of this package."""
    return [REGISTRY.get(name) for name in BUILT_IN]
