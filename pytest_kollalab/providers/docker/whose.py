"""Whether a daemon is Docker Engine, and this host's: with its folders, and networks here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.providers.base import Problem
from pytest_kollalab.system import daemon, files, temporary
from pytest_kollalab.system.daemon import Daemon
from pytest_kollalab.system.errors import HostError, KollalabError
from pytest_kollalab.system.run import run

if TYPE_CHECKING:
    from docker import DockerClient

TIMEOUT = 60
PODMAN = "Podman Engine"
NOTHING = "kollalab/nothing:nothing"


def problems(cache: Path) -> list[Problem]:
    """What is wrong with the environment's daemon: the one of images, registries and nodes."""
    try:
        which = daemon.resolve()
        client = which.client(TIMEOUT)
    except KollalabError as error:
        return [Problem(f"{error.brief}: {error.details}", error.hint)]
    return examine(client, which, cache)


def examine(client: DockerClient, which: Daemon, cache: Path | None = None) -> list[Problem]:
    """What is wrong with a daemon that is taken for this host's, the first thing only.

    Without `cache` it need not have this host's folders.
    """
    # One that has not even the folders is elsewhere, and its networks are as well.
    return (
        [*engine(client, which)]
        or [*(folders(client, which, cache) if cache is not None else ())]
        or [*networks(client, which)]
    )


def engine(client: DockerClient, which: Daemon) -> Iterator[Problem]:
    """The problem with a daemon that speaks docker's API and is not docker."""
    parts = {part["Name"]: part["Version"] for part in client.version().get("Components") or ()}
    if PODMAN in parts:
        yield Problem(
            f"podman {parts[PODMAN]} answers at {which}: through docker's API it gives a node no "
            "/proc/sys/net of its own to write, and fails to remove networks whose interfaces the "
            "nodes have renamed",
            f"use Docker Engine, for example {daemon.SOCKET}: set DOCKER_HOST or the context",
        )


def folders(client: DockerClient, which: Daemon, cache: Path) -> Iterator[Problem]:
    """The problem with a daemon that does not see the cache, where the images of labs are."""
    from docker.errors import APIError

    try:
        made = temporary.scratch(files.existing(cache), "asked")
    except OSError:
        # It is reported by another check that the folder cannot be written.
        return
    api: Any = client.api
    with made as folder:
        mount = {"Type": "bind", "Source": folder, "Target": "/asked"}
        body = {"Image": NOTHING, "HostConfig": {"Mounts": [mount]}}
        try:
            # Docker looks for the folder first, and then for an image that nobody has.
            api.create_container_from_config(body)
        except APIError as error:
            if error.status_code != HTTPStatus.BAD_REQUEST:
                return
    if which.url.startswith("unix://"):
        fix = (
            "run on the host of the daemon; in a container there, mount the folders of cache and "
            "state where they are on the host, and use `docker run --network host`"
        )
    else:
        fix = (
            f"use this host's daemon (DOCKER_HOST={daemon.SOCKET}); for nodes on the other one, "
            f'say provider = "docker", provider_uri = "{which.uri}" under [run] in kollalab.toml'
        )
    yield Problem(
        f"the docker daemon at {which} does not have the folders of this host, so it cannot serve "
        "images from here: it is another host's, or in a container",
        fix,
    )


def networks(client: DockerClient, which: Daemon) -> Iterator[Problem]:
    """The problem with a daemon whose networks are not here, though it is taken for this host's.

    Such is one whose socket is mounted into a container, or that a forwarded port leads to.
    """
    there: Any = client.api.networks(filters={"driver": "bridge"})
    gateways = {
        _gateway(pool)
        for network in there
        for pool in network["IPAM"]["Config"] or []
        if "Subnet" in pool
    }
    # One without any network leaves nothing to go by.
    if gateways and not gateways & _addresses():
        yield Problem(
            f"the docker daemon at {which} has its networks elsewhere, on another host or in a "
            "container: there is no way to nodes from here",
            "run on its host, there in a container with `docker run --network host` if need be",
        )


def identity(client: DockerClient, which: Daemon) -> dict[str, str]:
    """Which daemon makes a lab, for the lab's record."""
    return {"url": which.url, "id": _id(client)}


def _id(client: DockerClient) -> str:
    # Until 20.10 all daemons of a host have one identity: it is in /etc/docker.
    info = client.info()
    return f"{info['ID']} {info['DockerRootDir']}"


def check_same(
    lab: str, made_by: Mapping[str, str], which: Daemon, client: Callable[[], DockerClient]
) -> None:
    """Check that the environment's daemon is the one that made a lab.

    Another one has nothing of the lab, which would be taken for gone, and built anew or forgotten,
    while it runs on.

    Args:
        lab: The name of the lab.
        made_by: What `identity` said when it was made; empty if that was not recorded.
        which: The environment's daemon.
        client: Connects to it, which is only done if it is named otherwise than it was.

    Raises:
        HostError: It is another daemon.
    """
    # One that was installed anew at the same place has lost the lab.
    if not made_by or made_by["url"] == which.url or made_by["id"] == _id(client()):
        return
    raise HostError(
        f"lab {lab} is on another docker than the one that is used now",
        details=f"it was made on {made_by['url']}; now it is {which}",
        hint=f"use that one for this lab: DOCKER_HOST={made_by['url']}; or give another --name",
    )


def _gateway(pool: Mapping[str, str]) -> str:
    """The address of the host on a network; the first one unless docker says another."""
    if said := pool.get("Gateway"):
        return said.partition("/")[0]
    return str(ip_network(pool["Subnet"], strict=False)[1])


def _addresses() -> set[str]:
    said = json.loads(run(["ip", "-j", "address"]).stdout)
    return {found["local"] for link in said for found in link.get("addr_info", [])}
