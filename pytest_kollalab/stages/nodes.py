"""The nodes stage: nodes and their networks, reachable over SSH, with systemd running."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_kollalab import ssh
from pytest_kollalab.config import Config, Options
from pytest_kollalab.engine import Json, Stage, Work
from pytest_kollalab.errors import CommandError, StageError, WaitError
from pytest_kollalab.paths import Paths
from pytest_kollalab.points import point
from pytest_kollalab.providers import (
    CONTROLLER,
    NODES,
    REGISTRY,
    HostKey,
    Provider,
    Registry,
    Spec,
)
from pytest_kollalab.ssh import Ssh
from pytest_kollalab.state import Record
from pytest_kollalab.wait import NotYet, until

BOOT_TIMEOUT = 120.0


class NodesStage(Stage):
    """Makes the nodes through a provider and waits until they answer."""

    name = "nodes"
    needs = ("images",)

    def __init__(
        self,
        config: Config,
        options: Options,
        paths: Paths,
        *,
        provider: Provider,
        extra: Sequence[str] = (),
    ) -> None:
        self.extra = tuple(extra)
        self.names = (*NODES, *self.extra)
        self.config = config
        self.lab = options.name
        self.paths = paths
        self.provider = provider

    def inputs(self) -> Json:
        """What the provider makes nodes from."""
        found = {"provider": self.provider.name} | self.provider.inputs(self.config.nodes)
        # Left out where there is none: a lab without them is what it was.
        return found | ({"extra": list(self.extra)} if self.extra else {})

    def serves(self, recorded: Json, wanted: Json) -> bool:
        """Nodes that are there beside those that are wanted do no harm."""
        if set(wanted.get("extra", ())) <= set(recorded.get("extra", ())):
            wanted = {k: v for k, v in wanted.items() if k != "extra"}
            recorded = {k: v for k, v in recorded.items() if k != "extra"}
        return super().serves(recorded, wanted)

    def gone(self, record: Record) -> str | None:
        """Ask the provider, and look for the key."""
        if not Path(record.made["ssh_key"]).is_file():
            return "the lab's SSH key is not there"
        return self.provider.gone(self.lab, record.made)

    def create(self, work: Work) -> dict[str, Json]:
        """Make keys, nodes and the ssh_config, then wait for all nodes side by side."""
        key, config = work.folder / "id_ed25519", work.folder / "ssh_config"
        work.undo.callback(shutil.rmtree, work.folder, ignore_errors=True)
        ssh.make_key(key, f"kollalab {work.tag.lab}")
        point("nodes:key-made")
        host_keys = {node: _host_key(work.folder / "host_keys" / node) for node in self.names}
        spec = Spec(
            tag=work.tag,
            names=self.names,
            nodes=self.config.nodes,
            authorized_key=key.with_suffix(".pub").read_text(encoding="utf-8"),
            host_keys=host_keys,
            registry=_registry(work.made["images"]),
            log=work.log,
            say=work.say,
        )
        made = self.provider.create(spec, work.undo)
        self._check_all_made(made)
        point("nodes:provided")
        ssh.write_config(
            config,
            addresses={node: found["provisioning"] for node, found in made["nodes"].items()},
            key=key,
            host_keys={node: host_key.public for node, host_key in host_keys.items()},
            connection=work.tag.run,
        )
        work.undo.callback(ssh.close, config)
        point("nodes:configured")
        self._wait_for_all(work, Ssh(config), made["registry"])
        return {**made, "ssh_config": str(config), "ssh_key": str(key)}

    def destroy(self, work: Work) -> None:
        """Close connections, remove what the provider made, forget the keys."""
        ssh.close(work.folder / "ssh_config")
        self.provider.destroy(work.tag.lab)
        shutil.rmtree(work.folder, ignore_errors=True)

    def _check_all_made(self, made: Mapping[str, Json]) -> None:
        missing = [name for name in self.names if name not in made["nodes"]]
        if missing:
            raise StageError(
                f"the provider {self.provider.name} did not make {', '.join(missing)}",
                details="a feature of the lab wants nodes of its own, which this provider ignores",
                hint="leave that feature out, or use the docker provider",
            )

    def _wait_for_all(self, work: Work, connection: Ssh, registry: str) -> None:
        with ThreadPoolExecutor() as pool:
            jobs = {node: pool.submit(self._wait_for_node, connection, node) for node in self.names}
            if registry:
                jobs[REGISTRY] = pool.submit(self._wait_for_registry, connection, registry)
        for thing, job in jobs.items():
            try:
                job.result()
            except WaitError as error:
                words = self.provider.last_words(self.lab, thing)
                with work.log.open("a", encoding="utf-8") as log:
                    log.write(f"{thing}: {error}\n{words}\n")
                raise StageError(
                    f"{thing} did not come up",
                    details=f"{error.details}\n{words}",
                    hint="mend what the lines above complain about, then run again",
                    log=work.log,
                ) from error

    def _wait_for_node(self, connection: Ssh, node: str) -> None:
        def running() -> bool | NotYet:
            _, said = _ask(connection, node, ["systemctl", "is-system-running"])
            return True if said == "running" else NotYet(said)

        self._wait_for(node, "is running", running)

    def _wait_for_registry(self, connection: Ssh, registry: str) -> None:
        host, port = registry.split(":")

        def answers() -> bool | NotYet:
            # From a node, because that is who pulls.
            code, said = _ask(connection, CONTROLLER, ["ncat", "-z", "-w", "2", host, port])
            return True if code == 0 else NotYet(said)

        self._wait_for(REGISTRY, "answers", answers)

    def _wait_for(self, thing: str, what: str, probe: Callable[[], bool | NotYet]) -> None:
        until(
            f"{thing} {what}",
            probe,
            timeout=BOOT_TIMEOUT * self.provider.slowness,
            interval=0.2,
            hopeless=lambda: self.provider.stopped(self.lab, thing),
        )


def _ask(connection: Ssh, node: str, command: Sequence[str]) -> tuple[int, str]:
    try:
        result = connection.run(node, command, check=False, timeout=10)
    except CommandError as error:
        return -1, error.brief
    return result.returncode, result.stdout.strip() or result.stderr.strip()


def _host_key(path: Path) -> HostKey:
    ssh.make_key(path, path.name)
    return HostKey(
        private=path.read_text(encoding="utf-8"),
        public=path.with_name(f"{path.name}.pub").read_text(encoding="utf-8"),
    )


def _registry(images: Mapping[str, Json]) -> Registry | None:
    if "registry_image" not in images:
        return None
    return Registry(images["registry_image"], Path(images["registry_root"]))
