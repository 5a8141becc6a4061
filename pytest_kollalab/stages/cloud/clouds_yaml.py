"""clouds.yaml, with which users and openstacksdk reach the cloud."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.stages.cloud.assumed import Access
from pytest_kollalab.system import files

KEYSTONE_PORT = 5000
DEFAULTS = Access()
SECRET = re.compile(r"password|secret|token|passcode")
# Shorter passwords could be common words. They are masked only where they are named as passwords.
SHORTEST_PASSWORD = 6


def auth_url(controller: str) -> str:
    """Keystone's URL on the controller with this management address."""
    return f"http://{controller}:{KEYSTONE_PORT}"


def cloud_name(lab: str) -> str:
    """The name of a lab's cloud in its clouds.yaml."""
    return f"kollalab-{lab}"


def document(cloud: str, url: str, password: str, access: Access = DEFAULTS) -> dict[str, Any]:
    """The contents of clouds.yaml with the login of the cloud's administrator."""
    return {
        "clouds": {
            cloud: {
                "auth": {
                    "auth_url": url,
                    "username": access.user,
                    "password": password,
                    "project_name": access.project,
                    "user_domain_name": "Default",
                    "project_domain_name": "Default",
                },
                "region_name": access.region,
                "identity_api_version": 3,
            }
        }
    }


def auth_secrets(auth: Mapping[str, Any]) -> list[str]:
    """The values in a cloud's table `auth` that must not be shown."""
    return [
        str(value)
        for name, value in auth.items()
        if SECRET.search(name) and len(str(value)) >= SHORTEST_PASSWORD
    ]


def unusable() -> tuple[type[Exception], ...]:
    """What openstacksdk raises for a file that is damaged, or settings that it cannot use.

    It has an exception of its own only for some of them. Half a file, or a login with too little,
    is a TypeError, AttributeError or ValueError.
    """
    from keystoneauth1.exceptions import ClientException
    from openstack.exceptions import ConfigException

    return (ConfigException, ClientException, TypeError, AttributeError, ValueError)


def write(path: Path, contents: dict[str, Any]) -> None:
    """Write the file with mode 0600."""
    import yaml

    files.write(path, yaml.safe_dump(contents, sort_keys=False), 0o600)
