"""The docker daemon: which one is meant, the connection to it, and errors if it cannot be used."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pytest_kollalab.system import files, tunnel
from pytest_kollalab.system.errors import CommandError, ConfigError, HostError
from pytest_kollalab.system.run import Result, run

if TYPE_CHECKING:
    from docker import DockerClient

# In seconds. Saving all images of a lab is a single request.
TIMEOUT = 600
# The context that always exists: the daemon that the environment names.
DEFAULT = "default"
SOCKET = "unix:///var/run/docker.sock"
SCHEMES = ("unix", "ssh", "tcp", "http", "https")
# What of docker's configuration is about logins, and what about the choice of a daemon.
LOGINS = ("auths", "credsStore", "credHelpers")
CHOICE = "currentContext"
# One that leads nowhere: without any, the SDK looks for the user's own (docker 7.2, api/build.py).
NO_LOGINS = Path(__file__).with_name("no-logins.json")


@dataclass(frozen=True)
class Daemon:
    """A docker daemon, for the SDK and for children alike.

    Attributes:
        url: Its endpoint.
        named: Who names it: an environment variable, a context, a setting, or nobody (`default`).
        certificates: The folder with ca.pem, cert.pem and key.pem for TLS. None without TLS.
        verify: Whether its certificate is verified.
        context: The context that it is of, if any.
    """

    url: str
    named: str = DEFAULT
    certificates: Path | None = None
    verify: bool = True
    context: str = ""

    def __str__(self) -> str:
        return f"{self.url} ({self.named})"

    @property
    def uri(self) -> str:
        """What `provider_uri` is for nodes on it: its context, or its endpoint."""
        return self.context or self.url

    def environment(self) -> dict[str, str]:
        """The variables by which docker's command line and SDK in a child use this daemon.

        Opens a local socket to a daemon at `ssh://`, which exists until this process ends.
        """
        tls = self.certificates is not None
        return {
            "DOCKER_HOST": self._reach(),
            # Empty is not set, for both.
            "DOCKER_CONTEXT": "",
            "DOCKER_CERT_PATH": str(self.certificates or ""),
            "DOCKER_TLS_VERIFY": "1" if tls and self.verify else "",
            "DOCKER_TLS": "1" if tls and not self.verify else "",
        }

    def run(self, words: Sequence[str | Path], **options: Any) -> Result:
        """Run docker's command line against it. The options are those of `run`."""
        return run(["docker", *words], env=self.environment(), **options)

    def client(self, timeout: int = TIMEOUT) -> DockerClient:
        """Connect to it and check that it answers.

        The client has no logins, and asks no credential helper: nothing is pulled with it.

        Raises:
            HostError: The daemon cannot be used.
        """
        import docker
        from docker.errors import DockerException

        try:
            settings = {"base_url": self._reach(), **self._tls()}
            # The first client asks for the version of the API, which also shows that it answers.
            version = _versions.get(self)
            client = docker.DockerClient(version=version, timeout=timeout, **settings)
            client.api.reload_config(str(NO_LOGINS))
            if version is None:
                _versions[self] = client.api.api_version
            else:
                client.ping()
        except DockerException as error:
            _versions.pop(self, None)
            where = "" if self.named == DEFAULT else f" at {self}"
            raise HostError(
                f"docker cannot be used{where}",
                details=str(error),
                hint=_way_out(self, str(error)),
            ) from error
        return client

    def _reach(self) -> str:
        return tunnel.opened(self.url) if self.url.startswith("ssh://") else self.url

    def _tls(self) -> dict[str, Any]:
        from docker.tls import TLSConfig

        if self.certificates is None:
            return {}
        ca, cert, key = (self.certificates / f"{name}.pem" for name in ("ca", "cert", "key"))
        return {
            "tls": TLSConfig(
                ca_cert=str(ca) if ca.exists() else None,
                client_cert=(str(cert), str(key)) if cert.exists() else None,
                verify=self.verify,
            )
        }


# The version of the API by daemon, as its first client found it.
_versions: dict[Daemon, str] = {}


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
    return resolve(uri).client(timeout)


def resolve(uri: str = "", environment: Mapping[str, str] | None = None) -> Daemon:
    """The daemon at a context or endpoint; without one, the one that docker's command line uses.

    That is the one of DOCKER_HOST, of DOCKER_CONTEXT, of the context that is in use (`docker
    context use`), or of this host's socket, whichever comes first. The SDK has three other
    answers: until 7.1 it knows no context; from 7.2 on it does; and kolla-build has an SDK of its
    own.

    Args:
        uri: A context or an endpoint; empty or `default` for what the environment says.
        environment: The environment; by default, that of this process.

    Raises:
        ConfigError: There is no such context, or the URI is not docker's.
    """
    said = os.environ if environment is None else environment
    if uri and uri != DEFAULT:
        if "://" not in uri:
            return _of_context(uri, "provider_uri", said)
        return Daemon(_checked(uri, "provider_uri"), "provider_uri", *_tls_of(uri, said))
    if host := said.get("DOCKER_HOST"):
        url = _checked(host if "://" in host else f"tcp://{host}", "DOCKER_HOST")
        return Daemon(url, "DOCKER_HOST", *_tls_of(url, said))
    if context := said.get("DOCKER_CONTEXT"):
        return _of_context(context, "DOCKER_CONTEXT", said)
    in_use = configuration(said).get(CHOICE)
    if isinstance(in_use, str) and in_use:
        return _of_context(in_use, "docker context use", said)
    return Daemon(SOCKET)


def endpoint(uri: str) -> str:
    """The URL of a context or endpoint.

    Raises:
        ConfigError: There is no such context, or the URI is not docker's.
    """
    return resolve(uri).url


def configuration(environment: Mapping[str, str]) -> dict[str, Any]:
    """The user's configuration of docker; empty if there is none that can be read."""
    try:
        found = json.loads((_folder(environment) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def without_logins(folder: Path) -> dict[str, str]:
    """Write the user's configuration of docker without logins into a folder.

    A build that pulls nothing needs none, and docker asks every credential helper for all of
    them before it builds, which fails where a helper is missing.

    Returns:
        The variable by which a child uses it.
    """
    kept = {k: v for k, v in configuration(os.environ).items() if k not in (*LOGINS, CHOICE)}
    files.write(folder / "config.json", json.dumps(kept))
    return {"DOCKER_CONFIG": str(folder)}


def _folder(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DOCKER_CONFIG") or Path("~/.docker").expanduser())


def _checked(url: str, named: str) -> str:
    if not is_endpoint(url):
        raise ConfigError(
            f"{named}: {url} is not an endpoint of docker",
            details=f"endpoints begin with {', '.join(f'{each}://' for each in SCHEMES)}",
            hint='a URI of libvirt needs provider = "libvirt"',
        )
    return url


def _tls_of(url: str, environment: Mapping[str, str]) -> tuple[Path | None, bool]:
    """The certificates' folder, and whether to verify, as docker's command line has it."""
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if urlsplit(url).scheme in ("unix", "ssh") or not (verify or environment.get("DOCKER_TLS")):
        return None, True
    return Path(environment.get("DOCKER_CERT_PATH") or _folder(environment)), verify


def _of_context(name: str, named: str, environment: Mapping[str, str]) -> Daemon:
    if name == DEFAULT:
        return Daemon(SOCKET)
    context = _inspected(name, named, _folder(environment))
    docker = context["Endpoints"]["docker"]
    who = f"context {name}" if named == "provider_uri" else f"context {name} of {named}"
    if not context.get("TLSMaterial", {}).get("docker"):
        return Daemon(docker["Host"], who, context=name)
    folder = Path(context["Storage"]["TLSPath"]) / "docker"
    verify = not docker.get("SkipTLSVerify", False)
    return Daemon(docker["Host"], who, folder, verify, name)


@cache
def _inspected(name: str, named: str, folder: Path) -> dict[str, Any]:
    # Ask the command line: the SDK finds no contexts if there is no config.json beside them.
    try:
        argv = ["docker", "context", "inspect", name]
        said = run(argv, env={"DOCKER_CONFIG": str(folder)}).stdout
    except CommandError as error:
        raise ConfigError(
            f"{named}: docker has no context {name!r}",
            details=error.details,
            hint="see `docker context ls`, or name an endpoint: ssh://user@host",
        ) from error
    context: dict[str, Any]
    (context,) = json.loads(said)
    return context


def _way_out(daemon: Daemon, said: str) -> str:
    if daemon.named.startswith(("provider_uri", "context")):
        return "does `docker --context NAME ps`, or `docker --host URL ps`, work from here?"
    if "Permission denied" in said:
        return "run as root, or as a member of the group docker"
    run = "run `kollalab bootstrap`"
    if daemon.named != DEFAULT:
        return f"start the daemon at {daemon.url}; or unset {daemon.named}, and {run}"
    return f"{run}: it installs docker and starts its daemon; `kollalab doctor` tells more"
