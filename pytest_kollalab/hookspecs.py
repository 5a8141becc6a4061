"""The hooks: what other packages and a project's conftest can bring into a lab, or watch.

pytest asks every plugin and conftest; the command line asks the entry points of the group
`kollalab`. Nothing here imports pytest, so that both can ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_kollalab.features import Feature
    from pytest_kollalab.providers import Factory


def pytest_kollalab_providers() -> Mapping[str, Factory] | None:
    """Ways to make nodes, by the name that `--kollalab-provider` takes; what a provider tells of
    its inputs enters the key of the nodes.
    """


def pytest_kollalab_features() -> Feature | Iterable[Feature] | None:
    """Features that tests can ask for; the globals, files, images and playbooks of those that are
    asked for enter the key of the cloud.
    """


def pytest_kollalab_globals(release: str) -> Mapping[str, Any] | None:
    """Kolla-Ansible variables of every lab, whatever its features; they enter the key of the cloud,
    and only the provider's and the configuration's win over them.
    """


def pytest_kollalab_images(release: str) -> Iterable[Path] | None:
    """Folders of Kolla image templates, all of whose images every lab gets into its registry; their
    contents enter the key of the cloud.
    """


def pytest_kollalab_artifacts() -> Mapping[str, str] | None:
    """Shell commands by file name, whose output on each node is kept when a test fails; they enter
    no key.
    """


def pytest_kollalab_stage_done(
    lab: str, stage: str, action: str, made: Mapping[str, Any]
) -> None:
    """Watch: called once per session and process when a stage is there, with `reuse` or `build` as
    the action and what its record says that it made.
    """
