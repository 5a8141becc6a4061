"""The registry of features: the built-in ones, and those that plugins add."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping

from pytest_kollalab.features import BUILT_IN, CORE
from pytest_kollalab.features.backend import BACKENDS, OVS, NetworkBackend
from pytest_kollalab.features.base import Feature, stock_images
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

SHOWN = 3


class FeatureRegistry:
    """The known features: the built-in ones, and those that plugins add."""

    def __init__(self) -> None:
        self._added: dict[str, Feature] = {}

    def add(self, feature: Feature) -> None:
        """Add a feature. Raises ConfigError if its name is taken."""
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
        """The feature with a name, without changes for a release or a network backend.

        Raises:
            ConfigError: There is no such feature; the error suggests the nearest name.
        """
        if name in self._added:
            return self._added[name]
        if name not in BUILT_IN:
            raise ConfigError(f"there is no feature {name!r}", hint=nearest(name, self.names()))
        module = importlib.import_module(f"{__package__}.{name}.feature")
        found = module.FEATURE
        assert isinstance(found, Feature)
        return found

    def check_known(self, wanted: Mapping[str, Iterable[str]], remark: str = "") -> None:
        """Check that there are features of these names.

        Args:
            wanted: For each name, who asks for it, such as names of tests.
            remark: What else the message says of where features can be.

        Raises:
            ConfigError: There is no such feature. The message says who asks for it.
        """
        for name, by in wanted.items():
            if name not in self.names():
                raise ConfigError(
                    f"there is no feature {name!r}",
                    details="; ".join(filter(None, [f"asked for by {_listed(by)}", remark])),
                    hint=nearest(name, self.names()),
                )

    def resolve(
        self, wanted: Iterable[str], release: str, backend: NetworkBackend = OVS
    ) -> tuple[Feature, ...]:
        """The wanted features and all that they require, for a release.

        Args:
            wanted: Names of features, in any order.
            release: The name of the OpenStack release.
            backend: The network backend; the feature `core` has its parts.

        Returns:
            The features, `core` first, each once. Their order depends only on which they are.

        Raises:
            ConfigError: A feature is not known.
        """
        found = (feature.for_release(release) for feature in self._all(wanted))
        return tuple(
            backend.added_to(feature, release) if feature.name == CORE else feature
            for feature in found
        )

    def check_conflicts(
        self,
        wanted: Mapping[str, Iterable[str]],
        backend: NetworkBackend = OVS,
    ) -> None:
        """Check that one lab can have all these features.

        Args:
            wanted: For each feature, who asks for it, such as names of tests; it may be empty.
            backend: The network backend of the lab.

        Raises:
            ConfigError: Two of the features cannot be in one lab, or one of them does not work
                with the backend. The message says why, and who asks for them.
        """
        features = self._all(wanted)
        there = {feature.name for feature in features}
        found = [
            (feature.name, other, why)
            for feature in features
            for other, why in feature.conflicts.items()
            if other in there
        ]
        for name, other, why in found:
            raise ConfigError(
                f"the features {name} and {other} cannot be in one lab",
                details="\n".join([why, *self._asked(wanted, name), *self._asked(wanted, other)]),
                hint="select tests of one of them with -m or -k, and use a lab of another name "
                "for the other",
            )
        for feature in features:
            if not feature.suits(backend.name):
                known = " or ".join(feature.backends)
                raise ConfigError(
                    f"the feature {feature.name} does not work with the network backend "
                    f"{backend.name}",
                    details="\n".join(
                        [f"it works with {known}", *self._asked(wanted, feature.name)]
                    ),
                    hint=f"use a lab with {known}, or leave the feature out",
                )

    def unsuited(self, names: Iterable[str], backend: NetworkBackend) -> dict[str, str]:
        """Those of the features that do not work with a network backend, each with the reason.

        Args:
            names: Names of known features.
            backend: The network backend.
        """
        found = {}
        for name in names:
            for feature in self._all([name]):
                if not feature.suits(backend.name):
                    which = "it" if feature.name == name else f"the feature {feature.name}"
                    found[name] = (
                        f"{which} works with the network backend {' or '.join(feature.backends)}, "
                        f"not with {backend.name}"
                    )
        return found

    def _asked(self, wanted: Mapping[str, Iterable[str]], name: str) -> Iterable[str]:
        """Lines that say who asks for a feature, directly or through one that requires it."""
        for asked, by in wanted.items():
            if name not in {feature.name for feature in self._all([asked])}:
                continue
            who = _listed(by)
            through = f", which {asked} requires," if asked != name else ""
            if who:
                yield f"{name}{through} is asked for by {who}"
            elif through:
                yield f"{asked} requires {name}"

    def _all(self, wanted: Iterable[str]) -> list[Feature]:
        found: dict[str, Feature] = {}
        for name in (CORE, *sorted(set(wanted))):
            self._visit(name, found)
        # Once more, so that it does not matter which of them were named and which were required.
        ordered: dict[str, Feature] = {}
        for name in (CORE, *sorted(found)):
            self._visit(name, ordered)
        return list(ordered.values())

    def _visit(self, name: str, found: dict[str, Feature]) -> None:
        if name in found:
            return
        feature = self.get(name)
        for required in feature.requires:
            self._visit(required, found)
        found[name] = feature


def _listed(names: Iterable[str]) -> str:
    who = list(dict.fromkeys(names))
    more = f" and {len(who) - SHOWN} more" if len(who) > SHOWN else ""
    return f"{', '.join(who[:SHOWN])}{more}"


REGISTRY = FeatureRegistry()


def resolve(wanted: Iterable[str], release: str) -> tuple[Feature, ...]:
    """The wanted features of this package and all that they require, for a release."""
    return REGISTRY.resolve(wanted, release)


def built_in(release: str, backend: NetworkBackend = OVS) -> tuple[Feature, ...]:
    """The features of this package, for a release and a network backend."""
    return REGISTRY.resolve(BUILT_IN, release, backend)


def kolla_images(release: str) -> tuple[str, ...]:
    """The images of Kolla that these features have with any network backend, sorted."""
    every = (stock_images(built_in(release, backend)) for backend in BACKENDS.values())
    return tuple(sorted({name for names in every for name in names}))
