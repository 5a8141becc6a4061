"""The docker provider: nodes that are systemd containers on networks of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine import records
from pytest_kollalab.engine.garbage import InUse, Searches
from pytest_kollalab.engine.owners import Owner
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers import addresses, base, host_registry, retained
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.base import (
    CONTROLLER,
    NETWORKS,
    REGISTRY,
    Cloning,
    Images,
    NetworkMade,
    NodeMade,
    Origin,
    Problem,
    ProvidedNodes,
    Provider,
    RegistrySource,
    Spec,
)
from pytest_kollalab.providers.docker import clone as docker_clone
from pytest_kollalab.providers.docker import garbage, node_image, saves, whose
from pytest_kollalab.providers.docker import kolla_variables as docker_globals
from pytest_kollalab.providers.docker import layers as docker_layers
from pytest_kollalab.providers.docker import networks as docker_networks
from pytest_kollalab.providers.docker import spec as docker_spec
from pytest_kollalab.providers.docker.carry import DockerCarrying
from pytest_kollalab.providers.docker.container import make_container
from pytest_kollalab.providers.docker.host import DockerHost
from pytest_kollalab.providers.docker.networks import cannot_make
from pytest_kollalab.providers.docker.owned import Owned
from pytest_kollalab.providers.docker.refusals import refusals
from pytest_kollalab.providers.docker.saves import DockerSaves
from pytest_kollalab.providers.docker.spec import resource_name
from pytest_kollalab.settings.config import NodesConfig
from pytest_kollalab.system import debian
from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.threads import Threads
from pytest_kollalab.system.wait import until

if TYPE_CHECKING:
    from docker import DockerClient

Task = Callable[[], None]

# The key in what was made by which the environment's daemon is known.
MADE_BY = "docker"
REMOVE_TIMEOUT = 30.0
IN_USE = "something of the lab is in use and cannot be removed"
STOP_IT = "stop or disconnect the container that uses it, then run again"
# What docker calls containers that can be started, and those that cannot be any more.
STARTS = ("created", "exited")
LOST = ("dead", "removing")


class DockerProvider(Provider, Cloning):
    """Nodes as containers of a docker daemon: by its context or endpoint, or the environment's."""

    name = "docker"
    saving: DockerSaves

    def __init__(self, uri: str, mirror: str, paths: Paths, ranges: Sequence[str] = ()) -> None:
        self.host = DockerHost(uri)
        self.mirror = mirror
        self.ranges = ranges
        self.paths = paths
        self.saving = DockerSaves(lambda: self._owned)
        # Retained states are looked for on this host only.
        self.cloning = None if self.host.uri else self
        self.carrying = None if self.host.uri else DockerCarrying(self.host, self.saving)

    @property
    def client(self) -> DockerClient:
        """The daemon. Raises HostError when it cannot be used."""
        return self.host.client

    def problems(self) -> list[Problem]:
        """What the hosts lack, every problem at once."""
        return self.host.problems()

    def inputs(self, nodes: NodesConfig) -> dict[str, Any]:
        """The image and every file that a node is given."""
        elsewhere = {"uri": self.host.uri} if self.host.uri else {}
        return elsewhere | {
            "image": node_image.spec(nodes.suite),
            "files": digest(docker_spec.packaged_files()),
            "dockerd": docker_spec.dockerd_config(""),
            "mtu": addresses.MTU,
        }

    def check_sources(self, nodes: NodesConfig) -> None:
        """Ask the Debian mirror for the suite of the nodes, if there is no node image yet."""
        if not node_image.exists(self.client, nodes.suite):
            debian.check_mirror(nodes.suite, self.mirror)

    def prepare(self, nodes: NodesConfig, log: Path, say: Callable[[str], None]) -> None:
        """Build the node image, if needed."""
        node_image.ensure_image(self.host, nodes.suite, self.mirror, self.paths.cache, log, say)

    def create(self, spec: Spec, undo: ExitStack) -> ProvidedNodes:
        """Make networks, then all nodes and the registry at once."""
        self.prepare(spec.nodes, spec.log, spec.say)
        return self._make(
            spec,
            undo,
            lambda subnets, registry: [
                partial(self._make_node, spec, node, subnets, registry) for node in spec.names
            ],
        )

    def clone(self, spec: Spec, origin: Origin, undo: ExitStack) -> ProvidedNodes:
        """Make networks, then the nodes from the other lab's files, and the registry."""

        def nodes(subnets: Mapping[str, Subnet], registry: str) -> list[Task]:
            moves = addresses.between(origin.made, self._describe(spec, subnets, registry))
            contents = {node: self._files(spec, node, subnets, registry) for node in spec.names}
            contents[CONTROLLER] |= origin.files(moves)
            return [partial(docker_clone.clone, self.saving, origin, spec.tag, contents, moves)]

        return self._make(spec, undo, nodes)

    def _make(
        self, spec: Spec, undo: ExitStack, nodes: Callable[[Mapping[str, Subnet], str], list[Task]]
    ) -> ProvidedNodes:
        """Make networks; then what makes the nodes on them, and the registry, at once."""
        tag = spec.tag
        self._check_names(tag.lab, spec.names)
        # By tag and not one by one: whichever step fails, everything goes, in the right order.
        undo.callback(self.destroy, tag.lab)
        image = node_image.reference(spec.nodes.suite)
        subnets = docker_networks.make(
            self.client, tag, spec.names, self.host.in_use(), self.ranges
        )
        point("nodes:networks-made")
        # Only once: outside these networks each call finds another free port.
        registry = self._registry(subnets)
        tasks = nodes(subnets, registry)
        if spec.registry is not None:
            tasks.append(partial(self._make_registry, tag, spec.registry, subnets, registry))
        tasks.append(partial(docker_networks.fill_in_checksums, self.client, tag, image))
        with Threads() as pool:
            jobs = [pool.submit(task) for task in tasks]
        for job in jobs:
            job.result()
        return self._describe(spec, subnets, registry)

    def _describe(self, spec: Spec, subnets: Mapping[str, Subnet], registry: str) -> ProvidedNodes:
        return ProvidedNodes(
            provider=self.name,
            uri=self.host.uri,
            extra=self._identity(),
            jump=self.host.jump,
            nodes={
                node: NodeMade(**{each: str(subnets[each].node(node)) for each in NETWORKS})
                for node in spec.names
            },
            interfaces=docker_globals.INTERFACES,
            networks={
                name: NetworkMade(str(subnet.cidr), str(subnet.gateway), subnet.mtu)
                for name, subnet in subnets.items()
            },
            registry=registry if spec.registry is not None else "",
        )

    def check_lab(self, lab: str) -> None:
        """Check that the environment names the daemon that made the lab."""
        # One that is named is in the inputs of the nodes.
        record = records.load_if_whole(self.paths.lab(lab) / "nodes.json")
        if not self.host.uri and record is not None and record.made is not None:
            made_by = record.made.get(MADE_BY, {})
            whose.check_same(lab, made_by, self.host.daemon, lambda: self.client)

    def gone(self, lab: str, made: ProvidedNodes) -> str | None:
        """Name what is missing and cannot be started."""
        self.check_lab(lab)
        states = self._states(lab)
        for node in made.nodes:
            if states.get(resource_name(lab, node)) in (None, *LOST):
                return f"{node} is not there"
        networks = self._networks(lab)
        for network in made.networks:
            if resource_name(lab, network) not in networks:
                return f"the network {network} is not there"
        return None

    def halted(self, lab: str, made: ProvidedNodes) -> list[str]:
        """The nodes that do not run, and the registry if it does not run or is not there."""
        states = self._states(lab)
        found = [node for node in made.nodes if states.get(resource_name(lab, node)) in STARTS]
        # Beside distant nodes it is a container of this host.
        runs = (
            self.stopped(lab, REGISTRY) is None
            if self.host.uri
            else states.get(resource_name(lab, REGISTRY)) == "running"
        )
        if made.registry and not runs:
            found.append(REGISTRY)
        return found

    def start(
        self,
        tag: Tag,
        made: ProvidedNodes,
        registry: RegistrySource | None,
        *,
        nodes: bool = True,
    ) -> None:
        """Make missing networks and a missing registry at their addresses, then start nodes."""
        lab = tag.lab
        subnets = {
            name: Subnet(IPv4Network(each.cidr), each.mtu) for name, each in made.networks.items()
        }
        there = self._networks(lab)
        missing = {n: s for n, s in subnets.items() if resource_name(lab, n) not in there}
        if missing:
            docker_networks.make_at(self.client, tag, missing, self.host.in_use())
        # The bridges were made anew if the host or the daemon was restarted.
        image = self._image(lab)
        if image:
            docker_networks.fill_in_checksums(self.client, tag, image)
        if made.registry and self.stopped(lab, REGISTRY) is not None:
            self._start_registry(tag, made, registry, subnets)
        if nodes:
            for node in made.nodes:
                if self.stopped(lab, node) is not None:
                    self._start(lab, node)

    def destroy(self, lab: str) -> None:
        """Remove containers without stopping them first, then volumes and networks in parallel.

        What cannot be removed does not stop the rest.
        """
        self.check_lab(lab)
        removal = Attempts()
        if self.host.uri:
            with removal.step():
                host_registry.destroy(lab, self.paths.state)
        there = retained.read(self.paths.state, lab)
        keep = there.label if there is not None else ""
        api = self.client.api
        removal.each(self._remove_container, [e["Id"] for e in self._owned.containers(lab)])
        point("nodes:containers-removed")
        # Both are slow: volumes have many files, and the kernel takes its time for networks.
        jobs: list[Task] = [
            partial(api.remove_volume, volume["Name"], force=True)
            for volume in self._owned.volumes(lab)
            if (volume["Labels"] or {}).get(saves.SAVE, "") != keep or not keep
        ]
        networks = self._owned.networks(lab)
        jobs += [partial(self._remove_network, network["Id"]) for network in networks]
        jobs.append(partial(self.saving.remove_images, lab, keep))
        removal.each(_do, jobs)
        removal.check(IN_USE, STOP_IT)

    def owners(self, lab: str) -> list[Owner]:
        """Ask for what carries the lab's tag."""
        found = self._owned.owners(lab)
        if self.host.uri:
            found += host_registry.owners(lab, self.paths.state)
        return list(dict.fromkeys(found))

    def pulled(self, tag: Tag, node: str, images: Images, registry: str) -> None:
        """Link the layers into the store, for the next node that needs them."""
        docker_layers.keep(self.client, tag, node, images, registry)

    def stopped(self, lab: str, thing: str) -> str | None:
        """Ask for the state of the container."""
        from docker.errors import NotFound

        try:
            found = self._daemon(thing).api.inspect_container(resource_name(lab, thing))["State"]
        except NotFound:
            return f"{thing} is not there"
        return None if found["Running"] else f"{thing} ended with exit code {found['ExitCode']}"

    def last_words(self, lab: str, thing: str) -> str:
        """What it printed; of a running node also failed units and warnings of its journal."""
        from docker.errors import APIError, NotFound

        try:
            container = self._daemon(thing).containers.get(resource_name(lab, thing))
            logs: Any = container.logs(tail=20)
            said: str = logs.decode(errors="replace")
            if container.status != "running" or thing == REGISTRY:
                return said
            journal = "systemctl --failed --no-legend; journalctl -b -p warning -n 20 --no-pager"
            output: Any = container.exec_run(["sh", "-c", journal]).output
        except (APIError, NotFound) as error:
            return str(error)
        return f"{said}\n{output.decode(errors='replace')}"

    def globals(self) -> dict[str, Any]:
        """Kolla variables of a cloud on such nodes."""
        return docker_globals.kolla_globals(self.host.missing_capabilities())

    def uses(self, nodes: NodesConfig) -> InUse:
        """The image of the nodes."""
        return InUse(images=frozenset({node_image.reference(nodes.suite)}))

    def garbage(self, nodes: NodesConfig, used: InUse, older_than: float) -> Searches:
        """Layers that nodes shared."""
        return {"layers": lambda: garbage.layers(self.client, used, older_than)}

    def host_vars(self, made: ProvidedNodes) -> dict[str, dict[str, Any]]:
        """Kolla variables of each node."""
        return docker_globals.host_vars(made)

    def connect(self, tag: Tag, made: ProvidedNodes, registry: RegistrySource) -> None:
        """Make the networks at the addresses of the saved nodes."""
        self._check_names(tag.lab, tuple(made.nodes))
        subnets = {
            name: Subnet(IPv4Network(each.cidr), each.mtu) for name, each in made.networks.items()
        }
        image = str(self._owned.images(tag.lab, saves.SAVE)[0]["Id"])
        docker_networks.make_at(self.client, tag, subnets, self.host.in_use())
        docker_networks.fill_in_checksums(self.client, tag, image)
        self._make_registry(tag, registry, subnets, self._registry(subnets))

    def _states(self, lab: str) -> dict[str, str]:
        """What docker says of each container of a lab: name -> state."""
        found = self._owned.containers(lab)
        return {each["Names"][0].lstrip("/"): str(each["State"]) for each in found}

    def _networks(self, lab: str) -> set[str]:
        return {str(network["Name"]) for network in self._owned.networks(lab)}

    def _image(self, lab: str) -> str:
        """An image with the programs of a node: that of a node, or of one that is saved."""
        nodes = self._owned.containers(lab, docker_spec.NODE)
        found = [*(e["ImageID"] for e in nodes), *(e["Id"] for e in self._owned.images(lab))]
        return str(found[0]) if found else ""

    def _start(self, lab: str, thing: str) -> None:
        with refusals(f"docker could not start {thing} of lab {lab}"):
            self.client.api.start(resource_name(lab, thing))

    def _start_registry(
        self,
        tag: Tag,
        made: ProvidedNodes,
        registry: RegistrySource | None,
        subnets: Mapping[str, Subnet],
    ) -> None:
        if self.host.uri:
            host_registry.start(tag, registry, made.registry)
        elif resource_name(tag.lab, REGISTRY) in self._states(tag.lab):
            self._start(tag.lab, REGISTRY)
        elif registry is not None:
            self._make_registry(tag, registry, subnets, made.registry)

    def _files(
        self, spec: Spec, node: str, subnets: Mapping[str, Subnet], registry: str
    ) -> dict[str, tuple[str, int]]:
        return docker_spec.node_files(
            node, subnets, spec.authorized_key, spec.host_keys[node], registry
        )

    def _daemon(self, thing: str) -> DockerClient:
        """The daemon that runs it; for the registry that is this host's, which has its images."""
        return host_registry.client() if thing == REGISTRY and self.host.uri else self.client

    def _registry(self, subnets: Mapping[str, Subnet]) -> str:
        """The address, host:port, at which nodes on these networks reach the registry."""
        if not self.host.uri:
            return docker_spec.registry_address(subnets)
        return host_registry.address(self.host.remote, subnets["provisioning"])

    def _identity(self) -> dict[str, Any]:
        # A daemon that is named is in the inputs, and is asked whatever the environment says.
        if self.host.uri:
            return {}
        return {MADE_BY: whose.identity(self.client, self.host.daemon)}

    @property
    def _owned(self) -> Owned:
        return Owned(self.client, self.paths.state)

    def _remove_container(self, container: str) -> None:
        from docker.errors import APIError, NotFound

        def removed() -> bool:
            try:
                self.client.api.remove_container(container, force=True, v=True)
            except NotFound:
                return True
            except APIError as error:
                # Another process is removing it, perhaps an earlier run: wait until it is gone.
                if error.status_code != HTTPStatus.CONFLICT:
                    raise
                return False
            return True

        until(f"the container {container[:12]} is removed", removed, timeout=REMOVE_TIMEOUT)
        point("nodes:container-removed")

    def _remove_network(self, network: str) -> None:
        self.client.api.remove_network(network)
        point("nodes:network-removed")

    def _check_names(self, lab: str, nodes: Sequence[str]) -> None:
        """Refuse to go on when a name is taken by something without our tag."""
        api = self.client.api
        found = {n.lstrip("/"): c for c in api.containers(all=True) for n in c["Names"]}
        found |= {network["Name"]: network for network in api.networks()}
        found |= {volume["Name"]: volume for volume in api.volumes()["Volumes"] or []}
        wanted = [*NETWORKS, *nodes, *(f"{node}-docker" for node in nodes), REGISTRY]
        taken = sorted(found.keys() & {resource_name(lab, thing) for thing in wanted})
        if taken:
            base.check_owners(self, lab)
            raise StageError(
                f"{taken[0]} exists already and is not ours",
                details=f"names that are taken, without the label of lab {lab}: {', '.join(taken)}",
                hint="remove or rename them with docker, or give the lab another --kollalab-name",
            )

    def _make_node(
        self, spec: Spec, node: str, subnets: Mapping[str, Subnet], registry: str
    ) -> None:
        from docker.errors import APIError

        lab, labels = spec.tag.lab, spec.tag.labels()
        api: Any = self.client.api
        contents = self._files(spec, node, subnets, registry)
        image = node_image.reference(spec.nodes.suite)
        missing = self.host.missing_capabilities()
        shared = spec.images if spec.registry is not None else None
        try:
            layers = docker_layers.store(self.client, shared.tag) if shared else None
            body = docker_spec.node_config(lab, node, image, subnets, labels, missing, layers)
            api.create_volume(docker_spec.own_volume(lab, node), labels=labels)
            point("nodes:volume-made")
            if shared:
                docker_layers.fill(self.client, spec, shared, node, registry)
            container = make_container(self.client, body, resource_name(lab, node))
            point("nodes:container-made")
            api.put_archive(container, "/", docker_spec.archive(contents, docker_spec.node_links()))
            for network in NETWORKS[1:]:
                api.connect_container_to_network(
                    container,
                    resource_name(lab, network),
                    ipv4_address=str(subnets[network].node(node)),
                )
            point("nodes:container-connected")
            api.start(container)
            point("nodes:container-started")
        except APIError as error:
            raise cannot_make(node, error) from error

    def _make_registry(
        self, tag: Tag, registry: RegistrySource, subnets: Mapping[str, Subnet], where: str
    ) -> None:
        from docker.errors import APIError

        if self.host.uri:
            return host_registry.make(tag, registry, where)
        lab = tag.lab
        api: Any = self.client.api
        body = docker_spec.registry_config(
            lab, registry.image, str(registry.root), subnets, tag.labels()
        )
        try:
            container = api.create_container_from_config(body, resource_name(lab, REGISTRY))
            point("nodes:registry-made")
            api.start(container["Id"])
        except APIError as error:
            raise cannot_make(REGISTRY, error) from error


def _do(task: Task) -> None:
    with refusals(IN_USE, STOP_IT):
        task()
