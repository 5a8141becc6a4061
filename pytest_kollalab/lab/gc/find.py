"""Searches for all kinds of garbage, in the order in which they are removed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain

from pytest_kollalab.engine import owners
from pytest_kollalab.engine.garbage import Item, Searches
from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.lab.gc import dead, in_use, labs, machines
from pytest_kollalab.lab.gc.item import DAY
from pytest_kollalab.providers.choice import Factory, every
from pytest_kollalab.providers.docker import host as docker_host
from pytest_kollalab.providers.libvirt import host as libvirt_host
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.golden import cached
from pytest_kollalab.system import daemon
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.paths import Paths

KINDS = (
    "run", "lab", "golden", "leftover", "tools", "images", "store", "layers", "files",
)  # fmt: skip


def find(
    paths: Paths,
    config: Config,
    days: float,
    kinds: Sequence[str] = (),
    options: Options | None = None,
    added: Mapping[str, Factory] | None = None,
) -> list[Item]:
    """Find everything that can be removed, without changing anything.

    Args:
        paths: Folders for state and cache.
        config: The project's configuration, whose images and tools are kept.
        days: Find only what was not used for this many days.
        kinds: The kinds of garbage to find. The default is all.
        options: Name a libvirt or docker on another host to search as well.
        added: The providers of other packages, by name.

    Raises:
        ConfigError: A kind is unknown.
        HostError: Docker cannot be used.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"there is no garbage of kind {kind!r}", hint=nearest(kind, KINDS))
    wanted = kinds or KINDS
    old = days * DAY
    asked = options or Options()
    client = daemon.connect()
    ownership = Ownership(paths.state, min(old, owners.ABANDONED))
    host = libvirt_host.LibvirtHost(libvirt_host.uri_of(asked), ownership)
    elsewhere = docker_host.uri_of(asked)
    clients = [client, *([daemon.connect(uri=elsewhere)] if elsewhere else [])]
    providers = every(asked, paths, added or {})
    used = in_use.in_use(paths, config, old)
    for provider in providers:
        used |= provider.uses(config.nodes)
    searches: list[Searches] = [
        {
            "run": lambda: dead.runs(paths),
            "lab": lambda: labs.stale(paths, old, discard_saved=asked.discard_saved),
            "golden": lambda: chain(labs.goldens(paths, old), cached.garbage(paths, old)),
            "leftover": lambda: chain(
                *(labs.leftovers(each, paths, ownership) for each in clients),
                machines.leftovers(paths, host, ownership),
            ),
        },
        *(stage.garbage(used, old) for stage in in_use.stages_of(config, paths)),
        *(provider.garbage(config.nodes, used, old) for provider in providers),
    ]
    return [
        item
        for kind in KINDS
        if kind in wanted
        for each in searches
        if kind in each
        for item in each[kind]()
    ]
