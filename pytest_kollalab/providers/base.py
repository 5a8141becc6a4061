"""The provider: where the nodes of a lab come from, as one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.settings.config import NodesConfig

CONTROLLER = "controller-1"
COMPUTE = "compute-1"
NODES = (CONTROLLER, COMPUTE)
REGISTRY = "registry"
# Where the store is mounted in a container of the image; read-only is enough to serve it.
STORE = "/var/lib/docker-registry"
PORT = 4000
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
class RegistrySource:
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
    registry: RegistrySource | None
    images: Images | None
    log: Path
    say: Callable[[str], None]


@dataclass(frozen=True)
class NodeMade:
    """A node that a provider made: its address in each network."""

    provisioning: str
    management: str
    external: str
    tunnel: str

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses by the name of the network."""
        return {name: getattr(self, name) for name in NETWORKS}


@dataclass(frozen=True)
class NetworkMade:
    """A network that a provider made: `cidr` such as 10.64.0.0/24, and `mtu` in bytes."""

    cidr: str
    gateway: str
    mtu: int


@dataclass(frozen=True, kw_only=True)
class ProvidedNodes(Made):
    """What a provider made.

    `nodes` and `networks` are by name, `interfaces` is network -> name in every node. `registry`
    is host:port, or empty without one. `uri` is the daemon that has the nodes, empty for this
    host's own; `jump` what ssh gets there by (a ProxyCommand), empty when the nodes are reachable.
    `playbooks` have to be played before nodes are ready for Kolla-Ansible. A provider may add keys
    of its own in `extra`.
    """

    stage: ClassVar[str] = "nodes"
    provider: str
    nodes: Mapping[str, NodeMade]
    interfaces: Mapping[str, str]
    networks: Mapping[str, NetworkMade]
    registry: str = ""
    uri: str = ""
    jump: str = ""
    playbooks: tuple[Path, ...] = ()

    @property
    def controller(self) -> NodeMade:
        """The node with the control plane."""
        return self.nodes[CONTROLLER]


@dataclass(frozen=True)
class CloneMade:
    """What nodes that were cloned are a clone of.

    `lab` is the other lab, `folder` has the record and the files of its cloud, `since` is when it
    was copied (ISO 8601, UTC), `moves` says what addresses began with and what they begin with.
    """

    lab: str
    folder: Path
    since: str
    moves: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class NodesMade(ProvidedNodes):
    """What the stage `nodes` made: the provider's part, and the files that ssh finds nodes by."""

    ssh_config: Path
    ssh_key: Path
    clone: CloneMade | None = None


@dataclass(frozen=True)
class Origin:
    """The saved state of another lab that nodes are made from.

    `label` is what the provider calls it, `made` what create() had returned of that lab. `files`
    are more files for the controller, path -> text and mode, given what was moved where.
    """

    lab: str
    label: str
    made: ProvidedNodes
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

    def create(self, spec: Spec, undo: ExitStack) -> ProvidedNodes:
        """Make networks and nodes and start them."""

    def clone(self, spec: Spec, origin: Origin, undo: ExitStack) -> ProvidedNodes:
        """Make the nodes of a lab from what was saved of another, at addresses of its own.

        Called only with `can_keep`, and while nobody changes that other lab. Returns what create()
        does. Raises StageError when a part of the saved state is not there.
        """

    def gone(self, lab: str, made: ProvidedNodes) -> str | None:
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

    def host_vars(self, made: ProvidedNodes) -> dict[str, dict[str, Any]]:
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

    def connect(self, tag: Tag, made: ProvidedNodes, registry: RegistrySource) -> None:
        """Make the networks that create() had made, and the registry, for nodes to be restored to.

        Called only with `can_keep`. Raises StageError when the addresses are not free any more.
        """
