"""Features: what a capability adds to a lab, and which of them a lab has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.settings.config import Config

if TYPE_CHECKING:
    from pytest_kollalab.features.image_folders import Given


@dataclass(frozen=True)
class Feature:
    """What a capability adds to a lab.

    `control_images` and `compute_images` are Kolla image names by the node that runs them.
    `nodes` are nodes that the lab has more than others, such as `gateway-1`, each with the images
    it fetches; they are in an inventory group of their own, here `gateway`, and run no OpenStack.
    `globals` are Kolla-Ansible variables; lists of several features are joined. `config` maps a
    path below Kolla's custom configuration folder to a file's text. `images_from` are folders of
    Kolla image templates that the feature brings. `playbooks` run after the deploy, against the
    lab's inventory, each with what lies beside it. `services` are the types that must be in the
    catalogue, `extensions` the network API's extensions, and `containers` maps a node group
    (control, compute, or that of a node of its own) to the containers that must run there.
    `queues` are RabbitMQ's that some service must read. `passwords` are generated for the lab and
    known to playbooks by these names. `addresses` are the columns of the cloud's databases, each as
    database.table.column, that hold addresses of nodes: they change in a clone of the lab. `given`
    tells which files the configuration has for the images. `unsupported_reason` tells why those
    cannot be
    built on this host, or None; it may ask the network, and is asked only before a build.
    `artifacts` are shell commands by file name that every node runs when a test has failed
    (see `where`); they are in no key. A test that uses one of the `fixtures` asks
    for the feature.
    """

    name: str
    requires: tuple[str, ...] = ()
    control_images: tuple[str, ...] = ()
    compute_images: tuple[str, ...] = ()
    nodes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    globals: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    images_from: tuple[Path, ...] = ()
    passwords: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    given: Callable[[Config], tuple[Given, ...]] | None = None
    unsupported_reason: Callable[[Config], str | None] | None = None
    playbooks: tuple[Path, ...] = ()
    services: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    containers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    artifacts: Mapping[str, str] = field(default_factory=dict)
    fixtures: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, ...]:
        """Every Kolla image of the feature, once."""
        own = [name for names in self.nodes.values() for name in names]
        return tuple(dict.fromkeys((*self.control_images, *self.compute_images, *own)))


def where(container: str, command: str) -> str:
    """A shell command for the nodes that have a container; the others say nothing."""
    return f"docker container inspect {container} > /dev/null 2>&1 || exit 0\n{command}"


def images(features: Iterable[Feature]) -> tuple[str, ...]:
    """Every Kolla image that the features need, once, sorted."""
    return tuple(sorted({name for feature in features for name in feature.images}))


def stock_images(features: Iterable[Feature]) -> tuple[str, ...]:
    """Those of the images that Kolla itself can build: no feature brings them. Sorted."""
    found = list(features)
    brought = {
        template.parent.name
        for feature in found
        for folder in feature.images_from
        for template in folder.rglob("Dockerfile.j2")
    }
    return tuple(name for name in images(found) if name not in brought)


def nodes(features: Iterable[Feature]) -> tuple[str, ...]:
    """The nodes that the features want beside those that every lab has, once, sorted."""
    return tuple(sorted({name for feature in features for name in feature.nodes}))
