"""The docker host: the daemon that makes the nodes, here or on another host, and the way to it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import cached_property
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from pytest_kollalab.providers import addresses, capabilities
from pytest_kollalab.providers.base import Problem
from pytest_kollalab.providers.docker import whose
from pytest_kollalab.providers.docker.spec import NODE_IMAGES
from pytest_kollalab.providers.remote import Remote, is_here
from pytest_kollalab.settings.config import Options
from pytest_kollalab.system import daemon
from pytest_kollalab.system.daemon import Daemon
from pytest_kollalab.system.errors import HostError

if TYPE_CHECKING:
    from docker import DockerClient

MEMORY = 7 * 2**30
TIMEOUT = 120
# What another host has and may give; its first process is who started the daemon.
BREAK = "\n--\n"
LOOK = "; echo; echo --; ".join(
    ["cat /proc/1/status", "ip -j -4 route show table all", "ip -j -4 address"]
)


def uri_of(options: Options) -> str:
    """The context or endpoint of docker that the options name; empty for the environment's."""
    uri = options.provider_uri
    # Without a named provider, the form of the URI says whose it is.
    named = options.provider == "docker" or (options.provider == "auto" and daemon.is_endpoint(uri))
    return uri if named and uri != daemon.DEFAULT else ""


class DockerHost:
    """The docker daemon of a context or at an endpoint, as `docker --context` and `--host` know it.

    It is the one that the environment names if `uri` is empty or `default`.
    """

    def __init__(self, uri: str = "") -> None:
        self.uri = "" if uri == daemon.DEFAULT else uri
        self._seen: tuple[str, str, str] | None = None

    @cached_property
    def client(self) -> DockerClient:
        """The daemon. Raises HostError when it cannot be used, ConfigError for no such context."""
        return self.daemon.client(TIMEOUT)

    @cached_property
    def daemon(self) -> Daemon:
        """Which daemon that is. Raises ConfigError for no such context."""
        return daemon.resolve(self.uri)

    @cached_property
    def endpoint(self) -> SplitResult:
        """The parts of the URL of the daemon; all empty for the environment's."""
        return urlsplit(self.daemon.url if self.uri else "")

    @cached_property
    def remote(self) -> Remote | None:
        """The host of the endpoint; None for this host."""
        parts = self.endpoint
        if not parts.hostname or is_here(parts.hostname):
            return None
        user = f"{parts.username}@" if parts.username else ""
        return Remote(f"{user}{parts.hostname}", parts.port if parts.scheme == "ssh" else None)

    @property
    def jump(self) -> str:
        """The ProxyCommand by which SSH reaches the nodes; empty if there is a route to them."""
        return self.remote.proxy if self.remote and self.endpoint.scheme == "ssh" else ""

    def problems(self) -> list[Problem]:
        """What the hosts lack, every problem at once."""
        try:
            info = self.client.info()
        except HostError as error:
            return [Problem(f"{error.brief}: {error.details}", error.hint)]
        found = list(too_small(info["MemTotal"]))
        if self.uri and self.remote is None:
            found += whose.examine(self.client, self.daemon)
        if self.remote is None and not Path("/sys/class/misc/tun").exists():
            found.append(
                Problem(
                    "the kernel has no tun device, which Open vSwitch's userspace datapath needs",
                    "modprobe tun",
                )
            )
        if shutil.which("mmdebstrap") is None:
            found.append(Problem("mmdebstrap is not installed", "run `kollalab bootstrap`"))
        return found

    def missing_capabilities(self) -> tuple[str, ...]:
        """The capabilities that the host does not give, not even to root.

        Another host is looked at in a container of a node image; as long as it does not have one,
        it is taken for a host that gives all.
        """
        if self.remote is None:
            return capabilities.missing_here()
        return capabilities.missing(self._look()[0])

    def in_use(self) -> list[IPv4Network]:
        """The subnets that this host and the one of the daemon use, docker's networks included."""
        found = addresses.in_use()
        if self.remote is not None:
            _, routes, links = self._look()
            found += [*addresses.in_routes(routes), *addresses.in_links(links)]
        return found + list(addresses.in_docker(self.client.api.networks()))

    def _look(self) -> tuple[str, str, str]:
        """Facts of the daemon's host: the status of its first process, routes, links."""
        from docker.errors import APIError, ContainerError

        images: Any = self.client.api.images(name=NODE_IMAGES, quiet=True)
        if self._seen is not None or not images:
            return self._seen or ("", "", "")
        try:
            said: Any = self.client.containers.run(
                images[0], ["sh", "-ec", LOOK], network_mode="host", pid_mode="host", remove=True
            )
        except (APIError, ContainerError) as error:
            raise HostError(
                f"the docker host {self.uri} cannot be looked at",
                details=str(error),
                hint="nodes need a daemon that is neither rootless nor remapped",
            ) from error
        status, routes, links = said.decode().split(BREAK)
        self._seen = status, routes, links
        return self._seen


def too_small(memory: int) -> Iterator[Problem]:
    """The problem with that many bytes of memory, if there is one."""
    if memory < MEMORY:
        yield Problem(
            f"{memory / 2**30:.1f} GiB of memory; a lab needs {MEMORY / 2**30:.0f}",
            "use a host with more memory",
        )
