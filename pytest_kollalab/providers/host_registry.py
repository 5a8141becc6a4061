"""The registry of nodes that are on no network of this host's docker: a container of this host."""

from __future__ import annotations

import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.owners import Owner, Ownership
from pytest_kollalab.engine.records import LAB_LABEL, Tag
from pytest_kollalab.providers import base
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.base import REGISTRY, RegistrySource
from pytest_kollalab.providers.docker.spec import resource_name
from pytest_kollalab.providers.remote import Remote
from pytest_kollalab.system import daemon
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import HostError, StageError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

STAGE = "nodes"


def address(there: Remote | None, provisioning: Subnet) -> str:
    """Where nodes find it: this host's address in their network, or in that of their host."""
    if there is None:
        return f"{provisioning.gateway}:{base.PORT}"
    own = _own_address(there.host)
    # Several labs may be on other hosts, and all their registries are at this one's address.
    with socket.create_server((own, 0)) as probe:
        return f"{own}:{probe.getsockname()[1]}"


def make(tag: Tag, asked: RegistrySource, where: str) -> None:
    """Start it at an address of this host. Raises HostError without docker."""
    from docker.errors import APIError

    api: Any = client().api
    body, name = config(tag, asked, where), resource_name(tag.lab, REGISTRY)
    try:
        container = api.create_container_from_config(body, name)["Id"]
        point("nodes:registry-made")
        api.start(container)
    except APIError as error:
        raise StageError(
            "docker could not start the registry",
            details=str(error),
            hint="see the daemon's own log, then run again: what was made so far is removed",
        ) from error


def start(tag: Tag, asked: RegistrySource | None, where: str) -> None:
    """Start the registry if it does not run, and make it anew if it is not there."""
    from docker.errors import APIError

    container = find(tag.lab)
    if container is None:
        if asked is not None:
            make(tag, asked, where)
        return
    try:
        container.start()
    except APIError as error:
        raise StageError(
            "docker could not start the registry",
            details=str(error.explanation or error),
            hint="see the daemon's own log, then run again",
        ) from error


def config(tag: Tag, asked: RegistrySource, where: str) -> dict[str, Any]:
    """The body of docker's container-create call: the store, read-only, on the host's network."""
    mount = {
        "Type": "bind",
        "Source": str(asked.root),
        "Target": base.STORE,
        "ReadOnly": True,
    }
    return {
        "Image": asked.image,
        # Nowhere but there: the store is nobody else's business.
        "Env": [f"REGISTRY_HTTP_ADDR={where}"],
        "Labels": tag.labels(),
        "HostConfig": {
            "Mounts": [mount],
            "NetworkMode": "host",
            "RestartPolicy": {"Name": "no"},
        },
    }


def stopped(lab: str) -> str | None:
    """Why it does not run; None while it does."""
    container = find(lab)
    if container is None:
        return f"{REGISTRY} is not there"
    status = str(container.status)
    return None if status == "running" else f"{REGISTRY} is {status}"


def last_words(lab: str) -> str:
    """The end of what it printed."""
    container = find(lab)
    if container is None:
        return "it is not there"
    logs: Any = container.logs(tail=20)
    return str(logs.decode(errors="replace"))


def destroy(lab: str, home: Path) -> None:
    """Remove it, unless it is of a lab of the same name of another state folder than `home`.

    Without docker on this host there is no registry, and nothing is done.
    """
    with suppress(HostError):
        container = find(lab)
        if container is not None and not Ownership(home).is_others(container.labels):
            container.remove(force=True, v=True)


def owners(lab: str, home: Path) -> list[Owner]:
    """Whose it is, for a lab of the state folder `home`; nobody's if there is none."""
    container = find(lab)
    return Ownership(home).owners([container.labels] if container is not None else [])


def find(lab: str) -> Container | None:
    """The container that carries the lab's tag, whoever made it."""
    only: Any = {"label": [f"{LAB_LABEL}={lab}", f"kollalab.stage={STAGE}"]}
    found = client().containers.list(all=True, filters=only, ignore_removed=True)
    name = resource_name(lab, REGISTRY)
    return next((each for each in found if each.name == name), None)


def client() -> DockerClient:
    """The daemon of this host. Raises HostError when it cannot be used."""
    try:
        return daemon.connect(timeout=120)
    except HostError as error:
        error.details = f"the registry is a container of this host: {error.details}"
        raise


def _own_address(host: str) -> str:
    """The address of this host that packets to another one come from; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError as error:
            raise HostError(
                f"there is no way to {host}",
                details=str(error),
                hint="check provider_uri under [run] in kollalab.toml",
            ) from error
        return str(probe.getsockname()[0])
