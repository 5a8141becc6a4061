"""Features: what a capability adds to a lab."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pytest_kollalab.features.log_lines import LogLine
from pytest_kollalab.providers.base import NETWORKS
from pytest_kollalab.settings.config import Config
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.nearest import nearest

if TYPE_CHECKING:
    from pytest_kollalab.features.image_folders import Given

Names = tuple[str, ...]
# In the URL of a health check: the node's address in a network.
ADDRESS = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class HealthCheck:
    """A check that must succeed on each node of a group before a test may use the cloud.

    A check has either a command or a URL. It is repeated until it succeeds or its time is over; the
    error then contains the last result. In both, `{settings.NAME}` is replaced by a setting of the
    feature.

    Attributes:
        what: What the check shows, for messages, such as "the greeter answers".
        group: The node group.
        command: A shell command that the node runs as root; its exit code must be 0.
        url: A URL that this host requests; the status of the answer must be below 400.
            `{management}`, or the name of another network, is replaced by the node's address there.
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
        """The check with the values of a feature's settings.

        Raises:
            ConfigError: The check uses a setting that the feature does not declare, or its URL an
                address in a network that nodes do not have.
        """
        for network in ADDRESS.findall(self.url):
            if network not in NETWORKS:
                raise ConfigError(
                    f"the health check {self.what!r} needs an address in the network {network!r}",
                    details=f"no node has one; the feature {feature} asks for {self.url}",
                    hint=nearest(network, NETWORKS),
                )

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
        """The URL for a node with these addresses (by network)."""
        return at_node(self.url, addresses)


def at_node(url: str, addresses: Mapping[str, str]) -> str:
    """The URL with the addresses of a node (by network) in place of the names of networks."""
    return ADDRESS.sub(lambda found: addresses.get(found[1], found[0]), url)


@dataclass(frozen=True)
class FeatureParts:
    """How a feature differs with one OpenStack release or one network backend.

    Everything else stays as it is in the feature.

    Attributes:
        renamed_images: New names of Kolla images, by their names in the feature; None removes an
            image.
        renamed_containers: The same for containers.
        control_images: Additional images of controllers, fetched after the others.
        compute_images: Additional images of compute nodes, fetched after the others.
        containers: Additional containers that must run, by node group.
        agents: Additional Neutron agents that must be alive, by node group.
        globals: Kolla-Ansible variables that replace those of the same name; None removes one.
        config: Files that replace those of the same path; None removes one.
        userspace_config: The same for files that only Open vSwitch in user space needs.
        addresses: Additional database columns that hold addresses of nodes.
        images_from: The folders of image templates; None keeps those of the feature.
        playbooks: The playbooks; None keeps those of the feature.
        health: The health checks; None keeps those of the feature.
        usual: Additional lines of logs that the timeline of a failure leaves out.
        telling: Additional lines of logs that it has though they are no warnings.
        artifacts: Additional commands for artifacts, by file name.
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
    usual: tuple[LogLine, ...] = ()
    telling: tuple[LogLine, ...] = ()
    artifacts: Mapping[str, str] = field(default_factory=dict)


# The types of what attributes of features have several of, if they are not names.
MEMBERS: Mapping[str, type] = {
    "images_from": Path,
    "playbooks": Path,
    "health": HealthCheck,
    "usual": LogLine,
    "telling": LogLine,
}
BY_GROUP = ("nodes", "containers", "agents")
# Those whose values are texts.
TEXTS = ("config", "userspace_config", "artifacts", "conflicts", "endpoints")
CALLED = ("given", "unsupported_reason")


def check_shape(who: str, parts: object) -> None:
    """Check that attributes of a feature or of its parts are of the right kind.

    Args:
        who: What has them, for messages.
        parts: A `Feature` or `FeatureParts`.

    Raises:
        ConfigError: There is a string where several are wanted, or something of another type.
    """
    for each in fields(cast("Any", parts)):
        value = getattr(parts, each.name)
        kind = MEMBERS.get(each.name, str)
        if each.default_factory is dict:
            if not isinstance(value, Mapping):
                raise _of_other_shape(who, each.name, value, "a mapping")
            for inner in value.values():
                if each.name in BY_GROUP:
                    _check_several(who, each.name, inner, str)
                elif each.name in TEXTS and inner is not None and not isinstance(inner, str):
                    raise _of_other_shape(who, each.name, inner, "a string for each name")
                elif each.name == "by_release" and not isinstance(inner, FeatureParts):
                    raise _of_other_shape(who, each.name, inner, "FeatureParts for each release")
        elif each.default == () or (each.name in MEMBERS and value is not None):
            _check_several(who, each.name, value, kind)
        elif each.name in CALLED and value is not None and not callable(value):
            raise _of_other_shape(who, each.name, value, "a function")
        elif each.name == "settings" and value is not None and not isinstance(value, type):
            raise _of_other_shape(who, each.name, value, "a dataclass")


def _check_several(who: str, name: str, value: object, kind: type) -> None:
    if isinstance(value, str):
        raise ConfigError(
            f"{who} has a string where {name} are several",
            details=f"it is {value!r}",
            hint=f"write a tuple: ({value!r},)",
        )
    if not isinstance(value, Iterable) or not all(isinstance(each, kind) for each in value):
        raise _of_other_shape(who, name, value, f"a tuple of {kind.__name__}")


def _of_other_shape(who: str, name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(
        f"{who} has the wrong type in {name}", details=f"it is {value!r}", hint=f"write {wanted}"
    )


@dataclass(frozen=True)
class Feature:
    """What a capability adds to a lab, as plain data.

    The node groups are `control`, `compute`, and one for each kind of additional nodes: `gateway-1`
    is in the group `gateway`.

    Attributes:
        name: The name by which tests and the configuration ask for it.
        requires: Other features that it builds on.
        conflicts: Features that cannot be in the same lab, each with the reason.
        backends: The network backends that it works with; empty for all.
        by_release: How it differs with a release of OpenStack, by the name of the release.
        control_images: Kolla images of controllers, in the order of the deploy.
        compute_images: Kolla images of compute nodes, in the order of the deploy.
        nodes: Additional nodes, each with the images that it fetches. They do not run OpenStack.
        globals: Kolla-Ansible variables; lists of several features are joined.
        config: The contents of files, by their paths below Kolla's custom configuration folder.
        userspace_config: The same, only where Open vSwitch forwards in user space; `config` wins.
        images_from: Folders with Kolla image templates.
        passwords: Names of passwords that are generated for the lab and passed to playbooks.
        addresses: Database columns that hold addresses of nodes, as `database.table.column`. They
            are changed in a clone of the lab.
        given: Returns the files that the configuration provides for the images.
        unsupported_reason: Returns why the images cannot be built on this host, or None. It may use
            the network, and is called only before a build.
        playbooks: Playbooks that run after the deploy with the lab's inventory, each in its folder.
        services: Service types that must be in the catalogue.
        queues: RabbitMQ queues that must have a consumer.
        extensions: Extensions that the network API must have.
        containers: Containers that must run, by node group.
        agents: Types of Neutron agents that must be alive, by node group.
        health: Further checks before a test may use the cloud; they do not enter any key.
        artifacts: Shell commands by file name that every node runs after a test has failed (see
            `where`); they do not enter any key.
        usual: Warnings and errors in logs that are always there; the timeline of a failure leaves
            them out. They do not enter any key.
        telling: Lines of logs that the timeline of a failure has though they are no warnings. They
            do not enter any key.
        endpoints: The URLs of its APIs that no catalogue has, by name, for `kollalab show`; in them
            `{management}`, or the name of another network, is replaced by the address of the
            controller there. They do not enter any key.
        fixtures: Names of fixtures. A test that uses one of them asks for the feature, if the
            fixture is defined below the folder of the module that adds the feature. For the
            features of this package, all fixtures in their `fixtures.py` count.
        settings: A dataclass with the settings in the feature's table of the configuration
            (`Config.table` reads it). Their values enter the key of the cloud, and playbooks get
            them in `kollalab_settings`.
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
    usual: tuple[LogLine, ...] = ()
    telling: tuple[LogLine, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=dict)
    fixtures: Names = ()
    settings: type[Any] | None = None

    def __post_init__(self) -> None:
        check_shape(f"the feature {self.name}", self)
        for release, parts in self.by_release.items():
            check_shape(f"the feature {self.name} for {release}", parts)

    @property
    def images(self) -> Names:
        """All Kolla images of the feature, without duplicates."""
        own = [name for names in self.nodes.values() for name in names]
        return tuple(dict.fromkeys((*self.control_images, *self.compute_images, *own)))

    def suits(self, backend: str) -> bool:
        """Whether it works with the network backend of this name."""
        return not self.backends or backend in self.backends

    def for_release(self, release: str) -> Feature:
        """The feature for an OpenStack release; a second call does not change it any more."""
        parts = self.by_release.get(release, FeatureParts())
        return replace(self.with_parts(parts), by_release={})

    def configured(self, config: Config) -> Feature:
        """The feature with the values of its settings in its health checks.

        Raises:
            ConfigError: A setting of a health check is not declared, or a playbook is not there.
        """
        for playbook in self.playbooks:
            if not playbook.is_file():
                raise ConfigError(
                    f"there is no playbook {playbook}",
                    details=f"the feature {self.name} names it",
                    hint="correct its path",
                )
        values = None if self.settings is None else config.table(self.name, self.settings)
        health = tuple(check.with_settings(self.name, values) for check in self.health)
        return replace(self, health=health)

    def with_parts(self, parts: FeatureParts) -> Feature:
        """The feature with some parts added or replaced.

        Raises:
            ConfigError: The parts rename an image or a container that the feature does not have.
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
            usual=(*self.usual, *parts.usual),
            telling=(*self.telling, *parts.telling),
            artifacts={**self.artifacts, **parts.artifacts},
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
    """A shell command that does nothing on nodes without a container."""
    return f"docker container inspect {container} > /dev/null 2>&1 || exit 0\n{command}"


def images(features: Iterable[Feature]) -> tuple[str, ...]:
    """All Kolla images of the features, sorted and without duplicates."""
    return tuple(sorted({name for feature in features for name in feature.images}))


def stock_images(features: Iterable[Feature]) -> tuple[str, ...]:
    """The images that Kolla itself can build, because no feature has templates for them; sorted."""
    found = list(features)
    brought = {
        template.parent.name
        for feature in found
        for folder in feature.images_from
        for template in folder.rglob("Dockerfile.j2")
    }
    return tuple(name for name in images(found) if name not in brought)


def nodes(features: Iterable[Feature]) -> tuple[str, ...]:
    """The additional nodes of the features, sorted and without duplicates."""
    return tuple(sorted({name for feature in features for name in feature.nodes}))
