"""A lab whose golden state travels, as small as can be: real nodes, a real registry, no OpenStack.

Its cloud is one container on each node, of an image of two layers, by way of the lab's registry.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import docker

from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.stage import Inputs, Stage, Work
from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import NODES, Images, NodesMade
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.golden.fetch import Fetch
from pytest_kollalab.stages.golden.push import Push, Pushed
from pytest_kollalab.stages.images import registry
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.nodes import NodesStage
from pytest_kollalab.stages.states.rollback import Rewind
from pytest_kollalab.stages.states.saves import DEPLOY, GOLDEN, Saves
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.system import debian, files
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.ssh import Ssh

# An image that hides a file and a folder of the layer below.
DOCKERFILE = """
FROM {base}
RUN rm -r /usr/share/base-files /etc/issue && mkdir /usr/share/base-files \\
    && echo upper > /usr/share/base-files/upper
CMD ["sleep", "infinity"]
"""
DEPLOYED = """
docker pull -q {image} > /dev/null
docker run -d --name keeper --network none --restart always -v data:/data {image} > /dev/null
docker exec keeper sh -c 'echo own > /own; echo data > /data/file; rm -r /usr/share/common-licenses'
mkdir -p /etc/kolla/service && echo 'listen={address}' > /etc/kolla/service/service.conf
echo of-the-user > /root/.bash_history
"""
# What of it is seen afterwards.
TELL = (
    "docker exec keeper sh -c 'cat /own /data/file; ls /usr/share/base-files;"
    " ls -d /etc/issue /usr/share/common-licenses 2> /dev/null | wc -l'"
)
TOLD = "own\ndata\nupper\n0"
PASSWORDS = "database_password: not-a-secret\n"


class TinyImages(Stage[ImagesMade]):
    """The image in the registry's store."""

    makes = ImagesMade
    name = "images"
    shared = True

    def __init__(self, paths: Paths, tag: str, registry_image: str) -> None:
        self.store = paths.cache / "registry"
        self.tag = tag
        self.registry_image = registry_image
        self.built = 0

    def inputs(self) -> Inputs:
        return {"tag": self.tag}

    def gone(self, made: ImagesMade) -> str | None:
        return registry.lacking(self.store, self.tag, ["tiny"])

    def create(self, work: Work) -> ImagesMade:
        self.built += 1
        client, name = docker.from_env(), f"kolla/tiny:{self.tag}"
        base = debian.reference("trixie", Options().mirror)
        text = DOCKERFILE.format(base=base).encode()
        client.images.build(fileobj=io.BytesIO(text), tag=name, network_mode="none", rm=True)
        try:
            registry.push(self.registry_image, self.store, [name], {}, work.log, work.say)
        finally:
            client.images.remove(name, force=True)
        return ImagesMade(
            namespace="kolla",
            tag=self.tag,
            images=("tiny",),
            registry_root=self.store,
            registry_image=self.registry_image,
        )

    def destroy(self, work: Work) -> None:
        registry.forget(self.store, self.tag)


class TinyCloud(Stage[CloudMade]):
    """A container on each node."""

    makes = CloudMade
    name = "cloud"
    needs = ("images", "nodes")
    consumes = ("nodes",)

    def __init__(self) -> None:
        self.deployed = 0

    def inputs(self) -> Inputs:
        return {"features": ["core"], "release": "2026.1"}

    def gone(self, made: CloudMade) -> str | None:
        return None

    def adopts(self, needed: Sequence[Made]) -> bool:
        return any(isinstance(each, NodesMade) and each.clone is not None for each in needed)

    def create(self, work: Work) -> CloudMade:
        images, nodes = work.made(ImagesMade), work.made(NodesMade)
        etc = work.folder / "etc"
        if nodes.clone is None:
            self.deployed += 1
            ssh, image = Ssh(nodes.ssh_config), f"{nodes.registry}/kolla/tiny:{images.tag}"
            for node in NODES:
                address = nodes.nodes[node].management
                ssh.run(node, ["sh", "-c", DEPLOYED.format(image=image, address=address)])
            files.write(etc / "passwords.yml", PASSWORDS)
        else:
            text = (nodes.clone.folder / "etc" / "passwords.yml").read_text()
            files.write(etc / "passwords.yml", text)
        return CloudMade(
            clouds_yaml=work.folder / "clouds.yaml",
            cloud="kollalab",
            auth_url="",
            features=("core",),
            etc=etc,
        )

    def destroy(self, work: Work) -> None:
        pass


class Wanted:
    """What a push asks of the cloud."""

    config = Config()
    folders = ()

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def images(self, made: ImagesMade, nodes: Sequence[str]) -> Images:
        return Images(made.tag, {node: [f"kolla/tiny:{self.tag}"] for node in nodes})


class Traveller:
    """A host with a lab, run after run.

    Args:
        folder: Its cache and state are below it.
        lab: The name of the lab.
        tag: The tag of its images.
        registry_image: The image of the registry.
        place: The setting `golden_registry`.
        options: Further settings.
    """

    def __init__(
        self,
        folder: Path,
        lab: str,
        tag: str,
        registry_image: str,
        place: str = "",
        **options: str,
    ) -> None:
        self.paths = Paths(cache=folder / "cache", state=folder / "state")
        self.lab, self.tag = lab, tag
        self.options = Options(name=lab, golden_registry=place, **options)  # type: ignore[arg-type]
        self.provider = DockerProvider("", self.options.mirror, self.paths)
        self.images = TinyImages(self.paths, tag, registry_image)
        self.cloud = TinyCloud()
        self.said: list[str] = []
        nodes = NodesStage(
            Config(),
            self.options,
            self.paths,
            provider=self.provider,
            source=self._source,
            images=Wanted(tag).images,
        )
        self.engine = Engine(
            lab, (self.images, nodes, self.cloud), self.paths, say=self.said.append
        )
        saves = Saves(lab, self.paths.lab(lab), self.provider)
        lease = Lease(self.paths.state / "labs" / f"{lab}.lease")
        self.rewind = Rewind(self.engine, saves, lease, resolve=self._resolve)
        self.fetch = Fetch(self.rewind, self.options, wanted=True)

    def up(self) -> list[str]:
        """Have the lab, as `kollalab up` has it; returns what the plan said of each stage."""
        actions = [step.action for step in self.fetch.plan(self.engine.plan())]
        self.fetch.bring_images(self.engine.plan())
        self.engine.ensure("images")
        self.fetch.revive(self.engine.plan())
        self.engine.ensure("cloud")
        return actions

    def save(self) -> None:
        """Save the golden state."""
        with self.engine.locked("save"):
            self.rewind.saves.save(GOLDEN, by=DEPLOY)

    def push(self, **more: bool) -> Pushed:
        """Push the golden state."""
        return Push(self.rewind, Wanted(self.tag), self.options).run(**more)  # type: ignore[arg-type]

    def run(self, node: str, script: str) -> str:
        """Run a script on a node."""
        nodes = self.engine.made(NodesMade)
        assert nodes is not None
        return Ssh(nodes.ssh_config).run(node, ["sh", "-c", script], timeout=60).stdout.strip()

    def down(self) -> None:
        """Remove the lab, and the layers that its nodes shared, if no other lab needs them."""
        from docker.errors import APIError

        self.engine.destroy()
        # As a lab does at its end: logs.
        shutil.rmtree(self.paths.lab(self.lab), ignore_errors=True)
        with suppress(APIError):
            docker.from_env().volumes.get(f"kollalab-layers-{self.tag}").remove()

    def _source(self) -> CloneSource | None:
        return self.fetch.source()

    def _resolve(self, names: Iterable[str], release: str) -> Sequence[Feature]:
        return ()
