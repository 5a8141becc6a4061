"""The lent cloud, somebody else's, and the poor host: what they cannot give is skipped."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.system.errors import KollalabError, NeedsLabError

if TYPE_CHECKING:
    from pytest_kollalab.lab.lab import Lab


class ExternalCloud:
    """What a session does differently with somebody else's cloud.

    `features` tells which features tests ask for; `lab` makes the lab that is none.
    """

    def __init__(
        self,
        name: str,
        features: Callable[[Iterable[pytest.Item]], tuple[str, ...]],
        lab: Callable[[], Lab],
    ) -> None:
        self.name = name
        self._features = features
        self._lab = lab
        self._refused: str | None = None
        self._lacking: dict[str, str] | None = None

    # Within what pytest's own plugins set up, which they take down for a test that is skipped too.
    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Skip a test whose feature the cloud does not have, and one whose fixture needs a lab."""
        wanted = self._features([item])
        if wanted:
            if self._refused is not None:
                pytest.fail(self._refused, pytrace=False)
            try:
                lacking = self._lacking_of(self._lab(), wanted)
            except KollalabError as error:
                # A cloud that does not answer is not waited for again.
                self._refused = error.brief
                pytest.fail(str(error), pytrace=False)
            for feature, why in lacking.items():
                pytest.skip(f"the cloud {self.name} has no feature {feature}: {why}")
        return (yield from _skipping())

    def _lacking_of(self, lab: Lab, names: Iterable[str]) -> dict[str, str]:
        """Which of the named features the cloud does not have, and what it lacks; asked once."""
        from pytest_kollalab.stages.cloud import external

        if self._lacking is None:
            connection = lab.connect()
            try:
                self._lacking = external.lacking(connection, lab.features)
            finally:
                connection.close()
        wanted = lab.extensions.registry.resolve(names, lab.config.release)
        return {f.name: self._lacking[f.name] for f in wanted if f.name in self._lacking}

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Skip a test that turns out to need a lab."""
        return (yield from _skipping())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self) -> Generator[None, object, object]:
        """Let go of a test whose cleaning up would look at nodes."""
        return (yield from _skipping())


class UnsupportedFeatures:
    """What a session does when this host cannot have a feature: those tests alone are skipped.

    `features` tells which features tests ask for; `lab` makes the lab.
    """

    def __init__(
        self, features: Callable[[Iterable[pytest.Item]], tuple[str, ...]], lab: Callable[[], Lab]
    ) -> None:
        self._features = features
        self._lab = lab

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Skip a test whose feature is left out of the lab."""
        wanted = self._features([item])
        unsupported = self._lab().unsupported if wanted else {}
        for name in wanted:
            if name in unsupported:
                pytest.skip(f"no feature {name}: {unsupported[name]}")


def _skipping() -> Generator[None, object, object]:
    try:
        return (yield)
    except NeedsLabError as error:
        pytest.skip(error.brief)
