"""Containers from the body of docker's create call, on daemons that differ in what they take."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import DockerClient

CAPABILITIES = "CapDrop"


def make_container(client: DockerClient, body: Mapping[str, Any], name: str) -> str:
    """Make a container and return its id. Raises docker's APIError.

    Docker gives all capabilities that the kernel knows, and fails to start the container if the
    host lacks one, unless it is dropped. Newer versions (25 or so) give those that there are, and
    refuse to drop one that there is not.
    """
    from docker.errors import APIError

    api: Any = client.api
    try:
        return str(api.create_container_from_config(dict(body), name)["Id"])
    except APIError as error:
        host = body.get("HostConfig", {})
        refused = f"invalid {CAPABILITIES}" in str(error.explanation)
        if error.status_code != HTTPStatus.BAD_REQUEST or not refused or not host.get(CAPABILITIES):
            raise
    other = {**body, "HostConfig": {**host, CAPABILITIES: []}}
    return str(api.create_container_from_config(other, name)["Id"])
