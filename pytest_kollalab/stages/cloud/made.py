"""What the stage `cloud` made: a cloud, and the files that describe it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pytest_kollalab.engine.made import Made


@dataclass(frozen=True, kw_only=True)
class CloudMade(Made):
    """A deployed cloud.

    `clouds_yaml` has it under the name `cloud`, as its administrator. `auth_url` is Keystone's.
    `features` are the names of those that were deployed. `etc` has what Kolla-Ansible was given.
    """

    stage: ClassVar[str] = "cloud"
    clouds_yaml: Path
    cloud: str
    auth_url: str
    features: tuple[str, ...]
    etc: Path

    @property
    def passwords(self) -> Path:
        """The file with the passwords of all services."""
        return self.etc / "passwords.yml"
