"""The hooks: what other packages and a project's conftest can bring into a lab, or watch.

pytest asks every plugin and conftest; the command line asks the entry points of the group
`kollalab`. Nothing here imports pytest, so that both can ask.
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
    """Give ways to make nodes, by name; a provider's inputs enter the key of the nodes."""


def pytest_kollalab_features() -> Feature | Iterable[Feature] | None:
    """Give features that tests may ask for; what those bring enters the key of the cloud."""


def pytest_kollalab_settings() -> Mapping[str, type[Any]] | None:
    """Give the settings of providers: a dataclass for each, by the name of the provider.

    `kollalab.toml` may have a table of that name, and the provider's factory is given the object
    as its argument `settings`. What it declares with `key` enters the key of the nodes.
    """


def pytest_kollalab_globals(release: str) -> Mapping[str, Any] | None:
    """Give Kolla-Ansible variables for every lab; they enter the key of the cloud."""


def pytest_kollalab_images(release: str) -> Iterable[Path] | None:
    """Give folders of image templates for every lab; they enter the key of the cloud."""


def pytest_kollalab_artifacts() -> Mapping[str, str] | None:
    """Give shell commands, by file name, to run on the nodes when a test fails; in no key."""


def pytest_kollalab_stage_done(lab: str, stage: str, action: str, made: Made) -> None:
    """Watch: a stage is there, by `reuse` or `build`; called once per process."""


NAMES = tuple(name for name in dir() if name.startswith("pytest_kollalab_"))
