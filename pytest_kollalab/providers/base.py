"""The provider: where the nodes of a lab come from, as a base class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pytest_kollalab.engine.garbage import InUse, Searches
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.owners import Owner
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.settings.config import NodesConfig
from pytest_kollalab.system.errors import BusyError

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
    """Something that the host lacks, and how to fix it."""

    what: str
    fix: str


@dataclass(frozen=True)
class HostKey:
    """The SSH host key of a node; both parts are the text of OpenSSH's key files."""

    private: str
    public: str


@dataclass(frozen=True)
class RegistrySource:
    """The registry that a lab pulls its images from.

    `image` is the docker image that serves it, `root` the folder that it serves.
    """

    image: str
    root: Path


@dataclass(frozen=True)
class Images:
    """The images that nodes will pull: the tag of the whole set, and `name:tag` by node."""

    tag: str
    by_node: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Spec:
    """What a provider is asked to make.

    Attributes:
        tag: What everything that is made is tagged with.
        names: The nodes: those that every lab has, then those of features.
        nodes: What the configuration says of them.
        authorized_key: A line for authorized_keys.
        host_keys: The SSH host key of each node.
        registry: Where the nodes pull images from; None without a registry.
        images: What they will pull; None if that is not known.
        log: The file for what programs print.
        say: Shows a line of progress.
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
    """A node that a provider made: its address in each network.

    `tunnel` is empty where tunnels use the management network, as on virtual machines.
    """

    provisioning: str
    management: str
    external: str
    tunnel: str = ""

    @property
    def addresses(self) -> dict[str, str]:
        """The addresses by the name of the network."""
        found = {name: getattr(self, name) for name in NETWORKS}
        return {name: address for name, address in found.items() if address}


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

    @property
    def direct(self) -> tuple[str, ...]:
        """Networks and addresses that no proxy leads to. Not all clients know networks here."""
        addresses = [each for node in self.nodes.values() for each in node.addresses.values()]
        networks = [network.cidr for network in self.networks.values()]
        return (*networks, *addresses, *filter(None, [self.registry.partition(":")[0]]))


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
    are more files for the controller, path -> text and mode, given what was moved where. `former`
    is the name that the lab had when it was deployed, if that was another one.
    """

    lab: str
    label: str
    made: ProvidedNodes
    files: Callable[[Mapping[str, str]], Mapping[str, tuple[str, int]]]
    former: str = ""


@dataclass(frozen=True)
class PackedImage:
    """An image of the provider's as files: its configuration, and an archive for each layer.

    Archives are tar files, the lowest layer's first; they may be compressed.
    """

    config: Mapping[str, Any]
    layers: tuple[Path, ...]


@dataclass(frozen=True)
class Packed:
    """A saved state as files.

    Attributes:
        disks: What the docker of each node keeps, without the layers of images that are known.
        roots: The rest of each node, as an image.
        images: The images that another host has to have, by name.
    """

    disks: Mapping[str, Path]
    roots: Mapping[str, PackedImage]
    images: Mapping[str, PackedImage]


@dataclass(frozen=True)
class Arrived:
    """A saved state that came from another host, as files.

    Attributes:
        lab: The name that the lab had there.
        packed: The saved state.
        layers: The archive of each layer of the nodes' images, by the identity of the layer with
            all below it, a lower one before a higher one.
        images: The nodes' images.
        registry: The registry that the nodes had them from: host:port.
        root: A folder of this host that has all these files.
    """

    root: Path
    lab: str
    packed: Packed
    layers: Mapping[str, Path]
    images: Images
    registry: str


class Saving(ABC):
    """How a provider saves nodes and brings them back.

    Attributes:
        memory: Whether the memory of the nodes is saved. Otherwise nodes that are brought back
            start from their files.
        own_clock: Whether each node has a clock of its own, which stands still while the node is
            saved and shows that time when it is brought back.
    """

    memory: bool = False
    own_clock: bool = False

    @abstractmethod
    def save(self, lab: str, name: str) -> int:
        """Save all nodes as they are at one moment, all of them or none; they go on.

        Args:
            lab: The name of the lab.
            name: A name under which nothing is saved.

        Returns:
            How many bytes it takes on the disk; 0 if that is not known.

        Raises:
            StageError: The nodes could not be saved; nothing is left of it.
        """

    @abstractmethod
    def restore(self, lab: str, name: str) -> None:
        """Bring all nodes back to what they were when they were saved; idempotent.

        Raises:
            StageError: Not all of them have been saved; nothing is changed.
        """

    @abstractmethod
    def saved(self, lab: str) -> list[str]:
        """The names under which all nodes are saved."""

    @abstractmethod
    def clear(self, lab: str, name: str) -> None:
        """Remove a saved state, complete or not; the nodes run afterwards. Idempotent."""


class Cloning(ABC):
    """How a provider makes nodes from saved ones: those of another lab, or of one that is gone.

    A provider that has it leaves the saved state that `retained.read` names alone in `destroy`.
    """

    @abstractmethod
    def connect(self, tag: Tag, made: ProvidedNodes, registry: RegistrySource) -> None:
        """Make the networks and the registry of a lab that is gone, for its nodes to be restored.

        Args:
            tag: What everything made is tagged with.
            made: What `create` returned for the lab.
            registry: Where its nodes pull images from.

        Raises:
            StageError: The addresses are not free any more.
        """

    @abstractmethod
    def clone(self, spec: Spec, origin: Origin, undo: ExitStack) -> ProvidedNodes:
        """Make the nodes of a lab from saved ones of another, at addresses of its own.

        It is called while nobody changes the other lab.

        Args:
            spec: The nodes to make, as for `create`.
            origin: The saved state of the other lab.
            undo: What removes them again; the callbacks run if a later step fails.

        Raises:
            StageError: A part of the saved state is missing.
        """


class Carrying(ABC):
    """How a provider's saved states get to other hosts: as files that a clone can be made from.

    Attributes:
        driver: How nodes keep their images. Only states of the same kind can be unpacked.
    """

    driver: str

    @abstractmethod
    def pack(
        self, lab: str, label: str, known: Collection[str], images: Sequence[str], folder: Path
    ) -> Packed:
        """Write a saved state as files, without what belongs to its host or its user.

        Args:
            lab: The name of the lab.
            label: The provider's name of the saved state.
            known: The identities of the layers that the other host gets in another way.
            images: The names of images that it has to have besides.
            folder: An empty folder of this host.

        Raises:
            StageError: A part of the saved state is missing, or it cannot be used elsewhere.
        """

    @abstractmethod
    def lacking(self, images: Iterable[str]) -> list[str]:
        """The images of these names that are not there."""

    @abstractmethod
    def load(self, images: Mapping[str, PackedImage], folder: Path) -> None:
        """Have images, by name.

        Args:
            images: The images.
            folder: A folder of this host for what is needed meanwhile.

        Raises:
            StageError: They cannot be loaded.
        """

    @abstractmethod
    def unpack(self, tag: Tag, label: str, arrived: Arrived, folder: Path) -> None:
        """Make a saved state of a lab that its nodes can be cloned from.

        Args:
            tag: What everything made is tagged with.
            label: The name of the saved state.
            arrived: What came.
            folder: An empty folder for what is needed meanwhile, below the one of its files.

        Raises:
            StageError: It cannot be unpacked.
        """


class Provider(ABC):
    """Where the nodes of a lab come from.

    A provider has a `name` and four methods: `inputs`, `create`, `gone` and `destroy`. The rest
    has defaults that suit nodes that need nothing special.

    Attributes:
        name: What `--kollalab-provider` and the records call it.
        saving: How its nodes are saved; None if they cannot be.
        cloning: How nodes are made from saved ones; None if they cannot be.
        carrying: How saved nodes get to other hosts; None if they cannot.
    """

    name: str
    saving: Saving | None = None
    cloning: Cloning | None = None
    carrying: Carrying | None = None

    @property
    def slowness(self) -> float:
        """How much longer everything takes than on containers; it scales deadlines."""
        return 1.0

    @abstractmethod
    def inputs(self, nodes: NodesConfig) -> dict[str, Any]:
        """What nodes are made from, as JSON; it enters the key of the nodes. Does no I/O."""

    @abstractmethod
    def create(self, spec: Spec, undo: ExitStack) -> ProvidedNodes:
        """Make networks and nodes, and start them.

        Args:
            spec: What to make.
            undo: What removes it again; the callbacks run if this or a later step fails.
        """

    def check_lab(self, lab: str) -> None:  # noqa: B027
        """Check that a lab with records is looked for where it was made.

        Raises:
            HostError: It was made elsewhere.
        """

    @abstractmethod
    def gone(self, lab: str, made: ProvidedNodes) -> str | None:
        """Why what `create` returned is not there any more; None if it is. Quick."""

    @abstractmethod
    def destroy(self, lab: str) -> None:
        """Remove everything that carries the lab's tag; idempotent."""

    def owners(self, lab: str) -> list[Owner]:
        """Who has a lab of that name where nodes are made; another client may have one as well."""
        return []

    def problems(self) -> list[Problem]:
        """What this host lacks for such nodes."""
        return []

    def check_sources(self, nodes: NodesConfig) -> None:  # noqa: B027 (a default, not forgotten)
        """Ask whether what `prepare` takes from elsewhere can be had. Called before a build.

        Raises:
            StageError: It cannot be had, such as a Debian suite that the mirror does not have.
        """

    def prepare(  # noqa: B027 (a default, not forgotten)
        self, nodes: NodesConfig, log: Path, say: Callable[[str], None]
    ) -> None:
        """Make what all labs share, such as the image of a node; idempotent and locked.

        It needs no other stage, and may run at the same time as one.
        """

    def pulled(  # noqa: B027 (a default, not forgotten)
        self, tag: Tag, node: str, images: Images, registry: str
    ) -> None:
        """Take note that a node has pulled its images: `create` may start the next with them."""

    def halted(self, lab: str, made: ProvidedNodes) -> list[str]:
        """The nodes, networks and registry that are there and do not run. Quick.

        So they are after a reboot of the host, for example. `start` has to be able to start them,
        and `gone` must not name them.
        """
        return []

    def start(  # noqa: B027 (a default, not forgotten)
        self,
        tag: Tag,
        made: ProvidedNodes,
        registry: RegistrySource | None,
        *,
        nodes: bool = True,
    ) -> None:
        """Start what does not run; idempotent.

        Args:
            tag: What the nodes are tagged with.
            made: What `create` returned.
            registry: Where the nodes pull images from, should their registry have to be made anew.
            nodes: Start the nodes as well, and not only what `Saving.restore` needs besides them.

        Raises:
            StageError: Something does not start.
        """

    def stopped(self, lab: str, thing: str) -> str | None:
        """Why a node or the registry does not run; None while it does. Quick."""
        return None

    def last_words(self, lab: str, thing: str) -> str:
        """The end of what a node or the registry printed, for an error message."""
        return ""

    def globals(self) -> dict[str, Any]:
        """Kolla-Ansible variables of a cloud on such nodes."""
        return {}

    def host_vars(self, made: ProvidedNodes) -> dict[str, dict[str, Any]]:
        """Kolla-Ansible variables of each node, by the node's name."""
        return {}

    def uses(self, nodes: NodesConfig) -> InUse:
        """What such nodes use of what labs share, such as the image that they are made from."""
        return InUse()

    def garbage(self, nodes: NodesConfig, used: InUse, older_than: float) -> Searches:
        """The searches for what nodes left for later ones, and nothing uses any more.

        Args:
            nodes: The nodes of this configuration: what they would use stays.
            used: What is in use.
            older_than: How long, in seconds, what is found must have been untouched.
        """
        return {}


def check_owners(provider: Provider, lab: str) -> None:
    """Raise BusyError if there is a lab of that name that is not ours."""
    others = [owner for owner in provider.owners(lab) if not owner.mine]
    if others:
        raise BusyError(
            f"the lab {lab} that is there already is not yours",
            details=f"it belongs to {others[0]}",
            hint="give yours another --kollalab-name, or remove that one from where it belongs; "
            "`kollalab gc --older-than 0` lists labs whose state folder was deleted on this host",
        )
