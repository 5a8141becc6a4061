"""A lab of docker nodes without images of a cloud, made by the real stage."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import docker
from docker import DockerClient

from pytest_kollalab.engine import owners
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.nodes import NodesStage
from pytest_kollalab.system.paths import Paths, default_paths
from pytest_kollalab.system.ssh import Ssh
from tests import made


class Built:
    """A lab that has nothing but nodes."""

    made: NodesMade

    def __init__(self, folder: Path, lab: str, uri: str = "", run_id: str = "") -> None:
        options = Options(name=lab, provider_uri=uri)
        paths = Paths(cache=default_paths().cache, state=folder)
        self.lab = lab
        self.provider = DockerProvider(options.provider_uri, options.mirror, paths)
        self.stage = NodesStage(Config(), options, paths, provider=self.provider)
        self.folder = folder
        self.run_id = run_id or folder.name
        # What the stage `images` made, as far as nodes want to know: without, no registry.
        self.images = made.images()

    def work(self, undo: ExitStack | None = None) -> Work:
        folder = self.folder / self.lab / "nodes"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Work(
            key="key",
            tag=owners.tag(self.lab, "nodes", "key", self.run_id, self.folder),
            needs=(self.images,),
            folder=folder,
            log=self.folder / "nodes.log",
            undo=undo or ExitStack(),
        )

    def create(self) -> None:
        with ExitStack() as undo:
            self.made = self.stage.create(self.work(undo))
            undo.pop_all()

    def destroy(self) -> None:
        self.stage.destroy(self.work())

    def run(self, node: str, script: str) -> str:
        ssh = Ssh(self.made.ssh_config)
        return ssh.run(node, ["sh", "-c", script], timeout=60).stdout.strip()


def left(lab: str, client: DockerClient | None = None) -> list[str]:
    """Everything of a lab that docker still has."""
    client = client or docker.from_env()
    only: Any = {"label": f"kollalab.lab={lab}"}
    return [
        *(str(container.name) for container in client.containers.list(all=True, filters=only)),
        *(str(network.name) for network in client.networks.list(filters=only)),
        *(str(volume.name) for volume in client.volumes.list(filters=only)),
        *(str(image.short_id) for image in client.images.list(filters=only)),
    ]
