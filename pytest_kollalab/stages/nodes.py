"""The nodes stage: nodes and their networks, reachable over SSH, with systemd running."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_kollalab.engine import records
from pytest_kollalab.engine.stage import Inputs, Stage, Work
from pytest_kollalab.providers import addresses
from pytest_kollalab.providers.base import (
    CONTROLLER,
    NODES,
    REGISTRY,
    CloneMade,
    HostKey,
    Images,
    NodesMade,
    ProvidedNodes,
    Provider,
    Spec,
)
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.system import digest, ssh
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import CommandError, StageError, WaitError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.ssh import Ssh
from pytest_kollalab.system.wait import NotYet, until

BOOT_TIMEOUT = 120.0
ASK_TIMEOUT = 10.0


class NodesStage(Stage[NodesMade]):
    """Makes the nodes through a provider and waits until they answer.

    Args:
        config: The project's configuration.
        options: The options of this run.
        paths: Folders for state and cache.
        provider: The provider of the nodes.
        made_by: Returns the provider that made nodes with such inputs.
        extra: Names of nodes besides controller and compute node.
        source: Returns what the nodes are cloned from, or None.
        images: Returns the images that each node will run.
        settings: Settings of the provider that enter the key.
    """

    makes = NodesMade
    name = "nodes"
    needs = ("images",)

    def __init__(
        self,
        config: Config,
        options: Options,
        paths: Paths,
        *,
        provider: Provider,
        made_by: Callable[[Inputs], Provider] | None = None,
        extra: Sequence[str] = (),
        source: Callable[[], CloneSource | None] = lambda: None,
        images: Callable[[ImagesMade, Sequence[str]], Images] | None = None,
        settings: Inputs | None = None,
    ) -> None:
        self.images = images
        self.settings = settings
        self.source = source
        self.extra = tuple(extra)
        self.names = (*NODES, *self.extra)
        self.config = config
        self.lab = options.name
        self.paths = paths
        self.provider = provider
        self._made_by = made_by

    def inputs(self) -> Inputs:
        """The inputs of the provider."""
        found = {"provider": self.provider.name} | self.provider.inputs(self.config.nodes)
        # Left out if empty, so that the key of a lab without extra nodes does not change.
        found |= {"extra": list(self.extra)} if self.extra else {}
        return found | ({"settings": self.settings} if self.settings else {})

    def serves(self, recorded: Inputs, wanted: Inputs) -> bool:
        """Whether the recorded nodes include the wanted ones and are otherwise the same."""
        if set(wanted.get("extra", ())) <= set(recorded.get("extra", ())):
            wanted = {k: v for k, v in wanted.items() if k != "extra"}
            recorded = {k: v for k, v in recorded.items() if k != "extra"}
        return super().serves(recorded, wanted)

    def check_sources(self) -> None:
        """Ask the provider whether the image of the nodes is there or can be made."""
        self.provider.check_sources(self.config.nodes)

    def room(self) -> dict[str, int]:
        """The disk space in bytes for the image of the nodes and their data."""
        return {room.DOCKER: room.BASE}

    def gone(self, made: NodesMade) -> str | None:
        """Why the nodes cannot be used or started, according to the provider, or None."""
        if not made.ssh_key.is_file():
            return "the lab's SSH key is not there"
        return self.provider.gone(self.lab, made)

    def manner(self) -> str:
        """The name of the provider."""
        return self.provider.name

    def halted(self, made: NodesMade) -> Sequence[str]:
        """The nodes, networks and registry that do not run, such as after a reboot of the host."""
        return self.provider.halted(self.lab, made)

    def create(self, work: Work) -> NodesMade:
        """Make keys, nodes and the ssh_config, then wait for all nodes."""
        key, config = work.folder / "id_ed25519", work.folder / "ssh_config"
        work.undo.callback(shutil.rmtree, work.folder, ignore_errors=True)
        ssh.make_key(key, f"kollalab {work.tag.lab}")
        point("nodes:key-made")
        images, source = work.made(ImagesMade), self.source()
        names = source.names if source is not None else self.names
        host_keys = {node: _host_key(work.folder / "host_keys" / node) for node in names}
        spec = Spec(
            tag=work.tag,
            names=names,
            nodes=self.config.nodes,
            authorized_key=key.with_suffix(".pub").read_text(encoding="utf-8"),
            host_keys=host_keys,
            registry=images.registry if images.registry_image else None,
            images=self.images(images, names) if self.images else None,
            log=work.log,
            say=work.say,
        )
        clone = None
        if source is not None:
            provided, clone = self._clone(spec, source, work)
        else:
            provided = self.provider.create(spec, work.undo)
        self._check_all_made(provided)
        point("nodes:provided")
        ssh.write_config(
            config,
            addresses={name: node.provisioning for name, node in provided.nodes.items()},
            key=key,
            host_keys={node: host_key.public for node, host_key in host_keys.items()},
            sockets=ssh.control_folder(self.paths.state),
            # The lab's name is needed too: all labs of a session have one run and equal node names.
            connection=digest.digest(work.tag.lab, work.tag.run),
            jump=provided.jump,
            patience=self.provider.slowness,
        )
        work.undo.callback(ssh.close, config)
        point("nodes:configured")
        await_nodes(self.provider, self.lab, names, Ssh(config), provided.registry, work.log)
        return NodesMade(**vars(provided), ssh_config=config, ssh_key=key, clone=clone)

    def destroy(self, work: Work) -> None:
        """Remove the nodes with their connections, keys and saved states."""
        # First: what is half removed must not be listed as saved.
        shutil.rmtree(work.folder.with_name("saves"), ignore_errors=True)
        ssh.close(work.folder / "ssh_config")
        record = records.load_if_whole(self.paths.lab(self.lab) / f"{self.name}.json")
        former = record.inputs if record is not None else {}
        if self._made_by is not None and "provider" in former:
            now = self.inputs()
            if any(former.get(what) != now.get(what) for what in ("provider", "uri")):
                # The lab's provider or host has changed. Remove the nodes where they were made.
                self._made_by(former).destroy(work.tag.lab)
        self.provider.destroy(work.tag.lab)
        shutil.rmtree(work.folder, ignore_errors=True)

    def _clone(
        self, spec: Spec, source: CloneSource, work: Work
    ) -> tuple[ProvidedNodes, CloneMade]:
        """Clone the nodes from another lab's. Their cloud starts with them."""
        cloning = self.provider.cloning
        assert cloning is not None, "a lab has a source only if its provider clones"
        with source.held():
            folder, since = work.folder / "clone", records.now()
            source.keep(folder)
            point("clone:kept")
            work.undo.callback(self.provider.destroy, work.tag.lab)
            source.bring(work.tag)
            made = cloning.clone(spec, source.origin(), work.undo)
            source.drop()
        moves = addresses.between(source.made, made)
        return made, CloneMade(source.lab, folder, since, moves)

    def _check_all_made(self, made: ProvidedNodes) -> None:
        missing = [name for name in self.names if name not in made.nodes]
        if missing:
            raise StageError(
                f"the provider {self.provider.name} did not make {', '.join(missing)}",
                details="a feature of the lab wants nodes of its own, which this provider ignores",
                hint="leave that feature out, or use the docker provider",
            )


def await_nodes(
    provider: Provider,
    lab: str,
    names: Iterable[str],
    connection: Ssh,
    registry: str,
    log: Path,
) -> None:
    """Wait until all nodes, and the registry if there is one, are up.

    Args:
        provider: The provider of the nodes.
        lab: Name of the lab.
        names: Names of the nodes.
        connection: SSH access to the nodes.
        registry: The address of the lab's registry, or an empty string.
        log: The log file.

    Raises:
        StageError: A node or the registry did not come up. The details have its last output.
    """
    with ThreadPoolExecutor() as pool:
        jobs = {node: pool.submit(await_node, provider, lab, connection, node) for node in names}
        if registry:
            jobs[REGISTRY] = pool.submit(_await_registry, provider, lab, connection, registry)
    for thing, job in jobs.items():
        try:
            job.result()
        except WaitError as error:
            words = provider.last_words(lab, thing)
            with log.open("a", encoding="utf-8") as file:
                file.write(f"{thing}: {error}\n{words}\n")
            raise StageError(
                f"{thing} did not come up",
                details=f"{error.details}\n{words}",
                hint="fix the problem that the lines above report, then run again",
                log=log,
            ) from error


def await_node(provider: Provider, lab: str, connection: Ssh, node: str) -> None:
    """Wait until systemd on a node reports that it is running.

    Raises:
        WaitError: The node did not come up.
    """

    def running() -> bool | NotYet:
        _, said = _ask(provider, connection, node, ["systemctl", "is-system-running"])
        return True if said == "running" else NotYet(said)

    _await(provider, lab, node, "is running", running)


def _await_registry(provider: Provider, lab: str, connection: Ssh, registry: str) -> None:
    host, port = registry.split(":")

    def answers() -> bool | NotYet:
        # Connect from a node, since nodes pull, and with bash, which every node has.
        dial = ["timeout", "2", "bash", "-c", f": < /dev/tcp/{host}/{port}"]
        code, said = _ask(provider, connection, CONTROLLER, dial)
        return True if code == 0 else NotYet(said or f"{CONTROLLER} gets no answer at {registry}")

    _await(provider, lab, REGISTRY, "answers", answers)


def _await(
    provider: Provider, lab: str, thing: str, what: str, probe: Callable[[], bool | NotYet]
) -> None:
    until(
        f"{thing} {what}",
        probe,
        timeout=BOOT_TIMEOUT * provider.slowness,
        interval=0.2 * provider.slowness,
        hopeless=lambda: provider.stopped(lab, thing),
    )


def _ask(provider: Provider, connection: Ssh, node: str, command: Sequence[str]) -> tuple[int, str]:
    try:
        timeout = ASK_TIMEOUT * provider.slowness
        result = connection.run(node, command, check=False, timeout=timeout)
    except CommandError as error:
        return -1, error.brief
    return result.returncode, result.stdout.strip() or result.stderr.strip()


def _host_key(path: Path) -> HostKey:
    ssh.make_key(path, path.name)
    return HostKey(
        private=path.read_text(encoding="utf-8"),
        public=path.with_name(f"{path.name}.pub").read_text(encoding="utf-8"),
    )
