"""The lab and its nodes as the fixtures of features see them, without importing the plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from pytest_kollalab.settings.config import Options
from pytest_kollalab.system.paths import Paths


class ProviderOfFixtures(Protocol):
    """Where the nodes come from."""

    @property
    def slowness(self) -> float:
        """The factor by which deadlines are multiplied."""


class LabOfFixtures(Protocol):
    """The fixture `kollalab`."""

    options: Options
    paths: Paths

    @property
    def provider(self) -> ProviderOfFixtures:
        """Where the nodes come from."""

    def ensure(self, stage: str) -> Any:
        """Build a stage if needed, and return its result."""


class NodeOfFixtures(Protocol):
    """A value of the fixture `lab_nodes`."""

    @property
    def addresses(self) -> Mapping[str, str]:
        """The node's addresses by network."""
