"""The provider: where the nodes of a lab come from, as one interface."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from pytest_kollalab import state
from pytest_kollalab.config import PROVIDERS, NodesConfig, Options, nearest
from pytest_kollalab.errors import ConfigError, HostError
from pytest_kollalab.paths import Paths
from pytest_kollalab.state import Tag

CONTROLLER = "controller-1"
COMPUTE = "compute-1"
NODES = (CONTROLLER, COMPUTE)
REGISTRY = "registry"
NETWORKS = ("provisioning", "management", "external", "tunnel")


@dataclass(frozen=True)
class Problem:
    """Something the host lacks, and how to mend it."""

    what: str
    fix: str


@dataclass(frozen=True)
class HostKey:
    """The SSH host key of a node; both parts are the text of OpenSSH's key files."""

    private: str
    public: str


@dataclass(frozen=True)
class Registry:
    """The registry a lab pulls its images from: the image that serves, and the store."""

    image: str
    root: Path


@dataclass(frozen=True)
class Images:
    """The images that nodes will pull: the tag that the set is known by, and `name:tag` by node."""

    tag: str
    by_node: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Spec:
    """What a provider is asked to make. `authorized_key` is a line for authorized_keys.

    `names` are the nodes: those that every lab has, then what features want more.
    """

    tag: Tag
    names: tuple[str, ...]
    nodes: NodesConfig
    authorized_key: str
    host_keys: Mapping[str, HostKey]
    registry: Registry | None
    images: Images | None
    log: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class Origin:
    """The saved state of another lab that nodes are made from.

    `label` is what the provider calls it, `made` what create() had returned of that lab. `files`
    are more files for the controller, path -> text and mode, given what was moved where.
    """

    lab: str
    label: str
    made: Mapping[str, Any]
    files: Callable[[Mapping[str, str]], Mapping[str, tuple[str, int]]]


class Provider(Protocol):
    """What every provider can do.

    `slowness` scales the deadlines of whoever waits for nodes. `own_clock` says that each node has
    a clock of its own, which a restored node has to be told anew, `can_save` that nodes can be
    saved and restored at all, memory included with `keeps_memory`. With `can_keep` a saved state
    can outlive its nodes, when `destroy` leaves alone what kept.py names, and be cloned.
    """

    name: str
    own_clock: bool
    can_save: bool
    keeps_memory: bool
    can_keep: bool

    @property
    def slowness(self) -> float:
        """How much longer everything takes than on containers."""

    def problems(self) -> list[Problem]:
        """What the host lacks."""

    def inputs(self, nodes: NodesConfig) -> dict[str, Any]:
        """What enters the key of the nodes; pure."""

    def prepare(self, nodes: NodesConfig, log: Path, say: Callable[[str], None]) -> None:
        """Make what all labs share, such as the image of a node; idempotent and locked.

        It needs no other stage, so that it may run beside one.
        """

    def create(self, spec: Spec, undo: ExitStack) -> dict[str, Any]:
        """Make networks and nodes and start them.

        Returns `provider`, `nodes` (node -> network -> address), `interfaces` (network -> name in
        the node), `networks` (network -> cidr, gateway, mtu) and `registry` (host:port or "").
        """

    def clone(self, spec: Spec, origin: Origin, undo: ExitStack) -> dict[str, Any]:
        """Make the nodes of a lab from what was saved of another, at addresses of its own.

        Called only with `can_keep`, and while nobody changes that other lab. Returns what create()
        does. Raises StageError when a part of the saved state is not there.
        """

    def gone(self, lab: str, made: Mapping[str, Any]) -> str | None:
        """Why what create() returned is not there any more; None when it is. Cheap."""

    def destroy(self, lab: str) -> None:
        """Remove everything that carries the lab's tag; idempotent."""

    def pulled(self, tag: Tag, node: str, images: Images, registry: str) -> None:
        """Told that a node has pulled its images; create() may start the next one with them."""

    def stopped(self, lab: str, thing: str) -> str | None:
        """Why a node or the registry does not run; None while it does. Cheap."""

    def last_words(self, lab: str, thing: str) -> str:
        """The end of what a node or the registry said, for an error message."""

    def globals(self) -> dict[str, Any]:
        """What Kolla-Ansible must know about such nodes: variables of the whole cloud."""

    def host_vars(self, made: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """What Kolla-Ansible must know about each node: node -> variables."""

    def save(self, lab: str, name: str) -> int:
        """Save all nodes as they are at one moment, all of them or none; they go on.

        Returns how many bytes that takes on the disk, 0 where nobody knows.
        Their memory is part of it if the provider `keeps_memory`; else nodes that are restored
        start from their files. The name is not in use. Raises HostError where that cannot be done.
        """

    def restore(self, lab: str, name: str) -> None:
        """Bring all nodes back to what they were when they were saved; idempotent.

        Raises StageError, and changes nothing, when not all of them have been saved.
        """

    def saved(self, lab: str) -> list[str]:
        """The names under which all nodes are saved."""

    def clear(self, lab: str, name: str) -> None:
        """Forget a saved state, whole or half made; the nodes run afterwards. Idempotent."""

    def connect(self, tag: Tag, made: Mapping[str, Any], registry: Registry) -> None:
        """Make the networks that create() had made, and the registry, for nodes to be restored to.

        Called only with `can_keep`. Raises StageError when the addresses are not free any more.
        """


Factory = Callable[[Options, Paths], Provider]


def choose(options: Options, paths: Paths, added: Mapping[str, Factory] | None = None) -> Provider:
    """Return the provider that the options name; `auto` is docker, which needs no KVM.

    `added` are those of others, by name. Raises ConfigError for a provider that is not there.
    """
    others = added or {}
    check(options.provider, others)
    if options.provider in others:
        return others[options.provider](options, paths)
    if options.provider in ("auto", "docker"):
        from pytest_kollalab.providers.docker import DockerProvider
        from pytest_kollalab.providers.docker_host import uri_of

        return DockerProvider(uri_of(options), options.mirror, paths)
    from pytest_kollalab.providers.libvirt import LibvirtProvider

    return LibvirtProvider(options.provider_uri, options.mirror, paths)


def of_lab(
    folder: Path, options: Options, paths: Paths, added: Mapping[str, Factory] | None = None
) -> Provider:
    """The provider of the lab with this folder: what it was made by, unless one is asked for."""
    if options.provider == "auto" or (options.hosts and not options.provider_uri):
        # What a lab was made by is also what it is looked at and removed by.
        record = state.load(folder / "nodes.json")
        if record is not None and "provider" in record.inputs:
            return made_by(record.inputs, options, paths, added)
    return choose(options, paths, added)


def made_by(
    inputs: Mapping[str, Any],
    options: Options,
    paths: Paths,
    added: Mapping[str, Factory] | None = None,
) -> Provider:
    """The provider that made nodes which have these inputs, where it made them."""
    uri = str(inputs.get("uri", ""))
    there = replace(options, provider=str(inputs["provider"]), provider_uri=uri)
    return choose(there, paths, added)


def check(name: str, added: Iterable[str] = ()) -> None:
    """Raise ConfigError unless there is one provider of that name, with those added by others."""
    names = [*PROVIDERS, *added]
    if name not in names:
        raise ConfigError(f"provider: {name!r} is not known", hint=nearest(name, names))
    if names.count(name) > 1:
        raise ConfigError(
            f"there are two providers named {name!r}",
            hint="give the one that is not part of this package another name",
        )


def check_host(provider: Provider) -> None:
    """Raise HostError with all that the host lacks, and how it is mended."""
    problems = provider.problems()
    if problems:
        raise HostError(
            f"this host cannot run a lab with the provider {provider.name}",
            details="\n".join(problem.what for problem in problems),
            hint="; ".join(dict.fromkeys(problem.fix for problem in problems)),
        )
