"""The result of the stage `cloud`: a cloud and the files that describe it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pytest_kollalab.engine.made import Made


@dataclass(frozen=True, kw_only=True)
class CloudMade(Made):
    """A deployed cloud.

    Attributes:
        clouds_yaml: The file clouds.yaml with the login of the cloud's administrator.
        cloud: The name of the cloud in that file.
        auth_url: The URL of Keystone.
        features: Names of the deployed features.
        etc: The folder with the input of Kolla-Ansible.
        upgraded_from: The release that was deployed, if the cloud was upgraded since.
        replayed: Names of the features whose playbooks were replayed on the cloud as it was.
    """

    stage: ClassVar[str] = "cloud"
    clouds_yaml: Path
    cloud: str
    auth_url: str
    features: tuple[str, ...]
    etc: Path
    upgraded_from: str = ""
    replayed: tuple[str, ...] = ()

    @property
    def passwords(self) -> Path:
        """The file with the passwords of all services."""
        return self.etc / "passwords.yml"
