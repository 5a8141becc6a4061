"""The Docker daemon: the one way to reach it, and what to say when that fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.errors import HostError

if TYPE_CHECKING:
    from docker import DockerClient

# Saving the images of a lab is one request.
TIMEOUT = 600


def connect(timeout: int = TIMEOUT) -> DockerClient:
    """The daemon that the environment names; it has answered once.

    `timeout` is that of each request, in seconds. Raises HostError when it cannot be used.
    """
    import docker
    from docker.errors import DockerException

    try:
        client = docker.from_env(timeout=timeout)
        client.ping()
    except DockerException as error:
        denied = "Permission denied" in str(error)
        raise HostError(
            "docker cannot be used",
            details=str(error),
            hint="run as root, or as a member of the group docker"
            if denied
            else "run ./bootstrap: it installs docker and starts its daemon; "
            "`kollalab doctor` tells more",
        ) from error
    return client
