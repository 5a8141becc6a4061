"""Hooks with which other packages and a project's conftest extend or watch a lab.

pytest calls the hooks of every plugin and conftest. The command line calls those of the entry
points in the group `kollalab`, so this module does not import pytest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_kollalab.engine.made import Made
    from pytest_kollalab.features.base import Feature
    from pytest_kollalab.providers.choice import Factory

GROUP = "kollalab"


def pytest_kollalab_providers() -> Mapping[str, Factory] | None:
    """Add node providers.

    Returns:
        A factory for each provider, by the provider's name. The provider's inputs enter the key of
        the nodes.
    """


def pytest_kollalab_features() -> Feature | Iterable[Feature] | None:
    """Add features that tests can request.

    Returns:
        One or more features. What a requested feature adds enters the key of the cloud.
    """


def pytest_kollalab_settings() -> Mapping[str, type[Any]] | None:
    """Add settings for providers.

    Returns:
        A dataclass for each provider, by the provider's name. Its values come from the table of
        that name in `kollalab.toml`, and the provider's factory receives the object as its
        argument `settings`. Fields declared with `key` enter the key of the nodes.
    """


def pytest_kollalab_globals(release: str) -> Mapping[str, Any] | None:
    """Add Kolla-Ansible variables to every lab.

    Args:
        release: The OpenStack release of the lab, for example `2026.1`.

    Returns:
        Values by the name of the variable. They enter the key of the cloud.
    """


def pytest_kollalab_images(release: str) -> Iterable[Path] | None:
    """Add image templates to every lab.

    Args:
        release: The OpenStack release of the lab, for example `2026.1`.

    Returns:
        Folders of image templates. Their contents enter the key of the cloud.
    """


def pytest_kollalab_artifacts() -> Mapping[str, str] | None:
    """Add commands that run on every node when a test fails.

    Returns:
        Shell commands by the name of the file that receives the output. They enter no key.
    """


def pytest_kollalab_stage_done(lab: str, stage: str, action: str, made: Made) -> None:
    """Called once per process and stage when a stage of a lab is ready.

    Args:
        lab: Name of the lab.
        stage: Name of the stage.
        action: `reuse` or `build`.
        made: What the stage made.
    """


NAMES = tuple(name for name in dir() if name.startswith("pytest_kollalab_"))
