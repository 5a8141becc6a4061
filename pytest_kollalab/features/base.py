"""Features: what a capability adds to a lab, and which of them a lab has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.settings.config import Config
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

if TYPE_CHECKING:
    from pytest_kollalab.features.image_folders import Given

Names = tuple[str, ...]


@dataclass(frozen=True)
class HealthCheck:
    """What must succeed on each node of a group before a test may use the cloud.

    It is either a command or an address. It is asked again until it succeeds or the time is over;
    the error then has what was seen last.

    Attributes:
        what: What it shows, for messages, such as "the greeter answers".
        group: The node group.
        command: A shell command that the node runs as root; its exit code must be 0.
        url: An address that this host asks, and that must answer with a status below 400.
            `{management}` in it, or the name of another network, is the node's address there.

    In both, `{settings.NAME}` is a setting of the feature.
    """

    what: str
    group: str = "control"
    command: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.url):
            raise ConfigError(
                f"the health check {self.what!r} needs a command or a URL",
                details="it has both" if self.url else "it has neither",
                hint="make two health checks of it" if self.url else "give it one of them",
            )

    def with_settings(self, feature: str, values: object) -> HealthCheck:
        """The check with the settings of a feature put in. Raises ConfigError for others."""

        def value(found: re.Match[str]) -> str:
            if not hasattr(values, found[1]):
                raise ConfigError(
                    f"the health check {self.what!r} needs a setting {found[1]!r}",
                    details=f"the feature {feature} declares no such setting",
                    hint="declare it, or correct its name",
                )
            return str(getattr(values, found[1]))

        put = partial(re.sub, r"\{settings\.(\w+)\}", value)
        return replace(self, command=put(self.command), url=put(self.url))

    def url_of(self, addresses: Mapping[str, str]) -> str:
        """The address to ask for a node with these addresses, by network."""
        return re.sub(r"\{(\w+)\}", lambda found: addresses.get(found[1], found[0]), self.url)


@dataclass(frozen=True)
class FeatureParts:
    """How a feature differs with one OpenStack release, or with one network backend.

    Everything that is not said here stays as the feature has it.

    Attributes:
        renamed_images: Kolla images that have another name, by the feature's name for them; None
            for one that is not needed.
        renamed_containers: The same for containers.
        control_images: More images of controllers, fetched after the others.
        compute_images: More images of compute nodes, fetched after the others.
        containers: More containers that must run, by node group.
        agents: More of Neutron's agents that must be alive, by node group.
        globals: Kolla-Ansible variables that replace those of the same name; None takes one away.
        config: Files that replace those of the same path; None takes one away.
        userspace_config: The same for files that only Open vSwitch in user space needs.
        addresses: More columns that hold addresses of nodes.
        images_from: The folders of image templates, in place of the feature's; None for those.
        playbooks: The playbooks, in place of the feature's; None for those.
        health: The health checks, in place of the feature's; None for those.
    """

    renamed_images: Mapping[str, str | None] = field(default_factory=dict)
    renamed_containers: Mapping[str, str | None] = field(default_factory=dict)
    control_images: Names = ()
    compute_images: Names = ()
    containers: Mapping[str, Names] = field(default_factory=dict)
    agents: Mapping[str, Names] = field(default_factory=dict)
    globals: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str | None] = field(default_factory=dict)
    userspace_config: Mapping[str, str | None] = field(default_factory=dict)
    addresses: Names = ()
    images_from: tuple[Path, ...] | None = None
    playbooks: tuple[Path, ...] | None = None
    health: tuple[HealthCheck, ...] | None = None


@dataclass(frozen=True)
class Feature:
    """What a capability adds to a lab, as plain data.

    Node groups are `control`, `compute`, and the kind of a node that a feature has for itself:
    `gateway-1` is in the group `gateway`.

    Attributes:
        name: What tests and the configuration ask for it by.
        requires: Other features that it builds on.
        conflicts: Features that cannot be in the same lab, and why not.
        backends: The network backends that it works with; empty for all.
        by_release: How it differs with a release of OpenStack, by the release's name.
        control_images: Kolla images of controllers, in the order of the deploy.
        compute_images: Kolla images of compute nodes, in the order of the deploy.
        nodes: More nodes of the lab, each with the images that it fetches. They run no OpenStack.
        globals: Kolla-Ansible variables; lists of several features are joined.
        config: Texts of files by their path below Kolla's custom configuration folder.
        userspace_config: The same, only where Open vSwitch forwards in user space; `config` wins.
        images_from: Folders of Kolla image templates that the feature brings.
        passwords: Names of passwords that are generated for the lab and known to playbooks.
        addresses: Columns of the cloud's databases that hold addresses of nodes, each as
            database.table.column: they change in a clone of the lab.
        given: Tells which files the configuration has for the images.
        unsupported_reason: Tells why the images cannot be built on this host, or None. It may ask
            the network, and is called only before a build.
        playbooks: Run after the deploy against the lab's inventory, each with its folder.
        services: Types that must be in the catalogue.
        queues: RabbitMQ's queues that some service must read.
        extensions: Extensions that the network API must have.
        containers: Containers that must run, by node group.
        agents: Types of Neutron's agents that must be alive, by node group.
        health: What else must succeed before a test may use the cloud; it is in no key.
        artifacts: Shell commands by file name that every node runs when a test has failed (see
            `where`); they are in no key.
        fixtures: A test that uses one of these fixtures asks for the feature, if the fixture is
            defined below the folder of the module that brings the feature. (Of the features of
            this package, all fixtures in their `fixtures.py` ask for them.)
        settings: A dataclass that declares what the configuration may say in the table of the
            feature's name (`Config.table` reads it). It enters the key of the cloud, and playbooks
            have it in `kollalab_settings`.
    """

    name: str
    requires: Names = ()
    conflicts: Mapping[str, str] = field(default_factory=dict)
    backends: Names = ()
    by_release: Mapping[str, FeatureParts] = field(default_factory=dict)
    control_images: Names = ()
    compute_images: Names = ()
    nodes: Mapping[str, Names] = field(default_factory=dict)
    globals: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, str] = field(default_factory=dict)
    userspace_config: Mapping[str, str] = field(default_factory=dict)
    images_from: tuple[Path, ...] = ()
    passwords: Names = ()
    addresses: Names = ()
    given: Callable[[Config], tuple[Given, ...]] | None = None
    unsupported_reason: Callable[[Config], str | None] | None = None
    playbooks: tuple[Path, ...] = ()
    services: Names = ()
    queues: Names = ()
    extensions: Names = ()
    containers: Mapping[str, Names] = field(default_factory=dict)
    agents: Mapping[str, Names] = field(default_factory=dict)
    health: tuple[HealthCheck, ...] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict)
    fixtures: Names = ()
    settings: type[Any] | None = None

    @property
    def images(self) -> Names:
        """Every Kolla image of the feature, once."""
        own = [name for names in self.nodes.values() for name in names]
        return tuple(dict.fromkeys((*self.control_images, *self.compute_images, *own)))

    def for_release(self, release: str) -> Feature:
        """The feature as it is with an OpenStack release; asked again, it stays the same."""
        parts = self.by_release.get(release, FeatureParts())
        return replace(self.with_parts(parts), by_release={})

    def configured(self, config: Config) -> Feature:
        """The feature with what the configuration says of it put into its health checks."""
        values = None if self.settings is None else config.table(self.name, self.settings)
        health = tuple(check.with_settings(self.name, values) for check in self.health)
        return replace(self, health=health)

    def with_parts(self, parts: FeatureParts) -> Feature:
        """The feature with some parts put over its own.

        Raises:
            ConfigError: An image or container is renamed that the feature does not have.
        """
        self._check_names("image", parts.renamed_images, self.images)
        there = [name for names in self.containers.values() for name in names]
        self._check_names("container", parts.renamed_containers, there)
        images, containers = parts.renamed_images, parts.renamed_containers
        return replace(
            self,
            control_images=_joined(_renamed(self.control_images, images), parts.control_images),
            compute_images=_joined(_renamed(self.compute_images, images), parts.compute_images),
            nodes={node: _renamed(names, images) for node, names in self.nodes.items()},
            containers=_grouped(
                {group: _renamed(names, containers) for group, names in self.containers.items()},
                parts.containers,
            ),
            agents=_grouped(self.agents, parts.agents),
            globals=_over(self.globals, parts.globals),
            config=_over(self.config, parts.config),
            userspace_config=_over(self.userspace_config, parts.userspace_config),
            addresses=_joined(self.addresses, parts.addresses),
            images_from=self.images_from if parts.images_from is None else parts.images_from,
            playbooks=self.playbooks if parts.playbooks is None else parts.playbooks,
            health=self.health if parts.health is None else parts.health,
        )

    def _check_names(self, kind: str, renamed: Iterable[str], known: Iterable[str]) -> None:
        for name in renamed:
            if name not in set(known):
                raise ConfigError(
                    f"the feature {self.name} renames the {kind} {name!r}, which it does not have",
                    hint=nearest(name, known),
                )


def _renamed(names: Names, renamed: Mapping[str, str | None]) -> Names:
    found = (renamed.get(name, name) for name in names)
    return tuple(dict.fromkeys(name for name in found if name is not None))


def _joined(names: Names, more: Names) -> Names:
    return tuple(dict.fromkeys((*names, *more)))


def _grouped(groups: Mapping[str, Names], more: Mapping[str, Names]) -> dict[str, Names]:
    return {
        group: _joined(groups.get(group, ()), more.get(group, ())) for group in {**groups, **more}
    }


def _over(values: Mapping[str, Any], others: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**values, **others}.items() if value is not None}


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
