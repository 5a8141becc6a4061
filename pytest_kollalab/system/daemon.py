"""The connection to the docker daemon, and the errors if it cannot be used."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_kollalab.system import tunnel
from pytest_kollalab.system.errors import CommandError, ConfigError, HostError
from pytest_kollalab.system.run import run

if TYPE_CHECKING:
    from docker import DockerClient

# In seconds. Saving all images of a lab is a single request.
TIMEOUT = 600
# The context that always exists: the daemon that the environment names.
DEFAULT = "default"
SCHEMES = ("unix", "ssh", "tcp", "http", "https")


def is_endpoint(uri: str) -> bool:
    """Whether a URI can be a docker context or endpoint."""
    return "://" not in uri or urlsplit(uri).scheme in SCHEMES


def connect(timeout: int = TIMEOUT, uri: str = "") -> DockerClient:
    """Connect to a docker daemon and check that it answers.

    Args:
        timeout: The timeout of each request, in seconds.
        uri: A context or an endpoint. By default, the daemon that the environment names.

    Raises:
        HostError: The daemon cannot be used.
        ConfigError: There is no such context, or the URI is not docker's.
    """
    import docker
    from docker.errors import DockerException

    where = f" at {uri}" if uri else ""
    try:
        client = _at(uri, timeout) if uri else docker.from_env(timeout=timeout)
        client.ping()
    except DockerException as error:
        raise HostError(
            f"docker cannot be used{where}", details=str(error), hint=_way_out(uri, str(error))
        ) from error
    return client


def endpoint(uri: str) -> str:
    """The URL of a context or endpoint.

    Raises:
        ConfigError: There is no such context, or the URI is not docker's.
    """
    return str(_settings(uri)["base_url"])


def _at(uri: str, timeout: int) -> DockerClient:
    import docker

    settings = _settings(uri)
    if settings["base_url"].startswith("ssh://"):
        settings = {"base_url": tunnel.opened(settings["base_url"])}
    return docker.DockerClient(timeout=timeout, **settings)


def _settings(uri: str) -> dict[str, Any]:
    if "://" in uri:
        if not is_endpoint(uri):
            raise ConfigError(
                f"provider_uri: {uri} is not an endpoint of docker",
                details=f"endpoints begin with {', '.join(f'{each}://' for each in SCHEMES)}",
                hint='a URI of libvirt needs provider = "libvirt"',
            )
        return {"base_url": uri}
    try:
        # Ask the command line: the SDK finds no contexts if there is no config.json beside them.
        said = run(["docker", "context", "inspect", uri]).stdout
    except CommandError as error:
        raise ConfigError(
            f"provider_uri: docker has no context {uri!r}",
            details=error.details,
            hint="see `docker context ls`, or name an endpoint: ssh://user@host",
        ) from error
    (context,) = json.loads(said)
    return {"base_url": context["Endpoints"]["docker"]["Host"], **_tls(context)}


def _tls(context: Mapping[str, Any]) -> dict[str, Any]:
    from docker.tls import TLSConfig

    if not context.get("TLSMaterial", {}).get("docker"):
        return {}
    folder = Path(context["Storage"]["TLSPath"]) / "docker"
    ca, cert, key = (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
    return {
        "tls": TLSConfig(
            ca_cert=str(ca) if ca.exists() else None,
            client_cert=(str(cert), str(key)) if cert.exists() else None,
            verify=not context["Endpoints"]["docker"].get("SkipTLSVerify", False),
        )
    }


def _way_out(uri: str, said: str) -> str:
    if uri:
        return "does `docker --context NAME ps`, or `docker --host URL ps`, work from here?"
    if "Permission denied" in said:
        return "run as root, or as a member of the group docker"
    return "run ./bootstrap: it installs docker and starts its daemon; `kollalab doctor` tells more"
