"""Skips tests whose features an external cloud lacks, or that cannot be built on this host."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Protocol

import pytest

from pytest_kollalab.plugin.stages import broken
from pytest_kollalab.system.errors import KollalabError, NeedsAdminError, NeedsLabError

if TYPE_CHECKING:
    from pytest_kollalab.lab.lab import Lab


# What is explained once: that rights are missing.
RIGHTS = "rights"


class Offer(Protocol):
    """Decides which tests are skipped because of the features that they ask for."""

    def check(self, lab: Lab, wanted: Iterable[str]) -> None:
        """Skip the running test if one of the wanted features is not available."""

    def guard(self) -> Generator[None, object, object]:
        """Run a phase of a test, and turn what it cannot have here into a skip or a message."""


class ExternalCloud:
    """An external cloud: tests are skipped if the cloud lacks what their features need.

    Args:
        is_first: Whether something is said for the first time in the session, in any process.
    """

    def __init__(self, is_first: Callable[[str], bool]) -> None:
        self._is_first = is_first
        self._refused: KollalabError | None = None
        self._lacking: dict[str, str] | None = None

    def check(self, lab: Lab, wanted: Iterable[str]) -> None:
        """Skip the test if the cloud lacks one of the features; fail it if it does not answer."""
        if self._refused is not None:
            raise broken(lab, self._refused)
        try:
            lacking = self._lacking_of(lab, wanted)
        except KollalabError as error:
            # Later tests do not wait again for a cloud that does not answer.
            self._refused = error
            raise broken(lab, error) from None
        for feature, why in lacking.items():
            pytest.skip(f"the cloud {lab.options.cloud} has no feature {feature}: {why}")

    def guard(self) -> Generator[None, object, object]:
        """Skip a test that turns out to need a lab; explain once which rights are missing."""
        __tracebackhide__ = True
        try:
            return (yield)
        except NeedsLabError as error:
            pytest.skip(error.brief)
        except NeedsAdminError as error:
            text = str(error) if self._is_first(RIGHTS) else error.brief
            raise pytest.fail.Exception(text, pytrace=False) from None

    def _lacking_of(self, lab: Lab, names: Iterable[str]) -> dict[str, str]:
        """The named features that the cloud lacks, with the reason. The cloud is asked once."""
        from pytest_kollalab.stages.cloud import external

        if self._lacking is None:
            connection = lab.connect()
            try:
                self._lacking = external.lacking(connection, lab.features)
            finally:
                connection.close()
        wanted = lab.extensions.registry.resolve(names, lab.config.release)
        return {f.name: self._lacking[f.name] for f in wanted if f.name in self._lacking}


class OwnLab:
    """A lab: tests are skipped if this host cannot build what their features need."""

    def check(self, lab: Lab, wanted: Iterable[str]) -> None:
        """Skip the test if one of the features is left out of the lab."""
        unsupported = lab.unsupported
        for name in wanted:
            if name in unsupported:
                pytest.skip(f"no feature {name}: {unsupported[name]}")

    def guard(self) -> Generator[None, object, object]:
        """Run a phase of a test."""
        __tracebackhide__ = True
        return (yield)
