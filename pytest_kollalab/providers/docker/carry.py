"""The saved states of docker nodes as files, which another host makes nodes from."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.base import Arrived, Carrying, Packed, PackedImage
from pytest_kollalab.providers.docker import archives, layers, layers_copy
from pytest_kollalab.providers.docker import spec as docker_spec
from pytest_kollalab.providers.docker.copy import Volumes
from pytest_kollalab.providers.docker.host import DockerHost
from pytest_kollalab.providers.docker.saves import (
    MADE_FROM,
    NODES,
    REPOSITORY,
    SAVE,
    DockerSaves,
    image_tag,
    saved_volume,
)
from pytest_kollalab.providers.docker.spec import NEEDS, resource_name
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import CommandError, StageError

if TYPE_CHECKING:
    from docker import DockerClient

# Where a helper sees the folder with files of this host.
HERE = "/here"
PLAN = "plan.json"
# A program, and the module that it imports as if it were installed.
START = """\
import sys, types
name, text, sys.argv = sys.argv[1], sys.argv[2], sys.argv[3:]
module = sys.modules[name] = types.ModuleType(name)
exec(text, module.__dict__)
exec(sys.argv[0])
"""
# Of a node's own files: its keys and those who may log in, and what it wrote down so far.
PRIVATE = (
    "etc/machine-id",
    "etc/ssh/ssh_host_",
    "root/.ssh",
    "root/.ansible",
    "root/.bash_history",
    "root/.docker",
    "root/.config",
    "root/.cache",
    "tmp/",
    "var/tmp/",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed",
    "var/log/journal/",
    "var/log/wtmp",
    "var/log/btmp",
    "var/log/lastlog",
)


class DockerCarrying(Carrying):
    """Packs and unpacks the saved states of the labs of this host's daemon."""

    driver = layers_copy.DRIVER

    def __init__(self, host: DockerHost, saves: DockerSaves) -> None:
        self._host = host
        self._saves = saves

    @property
    def client(self) -> DockerClient:
        """The daemon."""
        return self._saves.client

    def pack(
        self, lab: str, label: str, known: Collection[str], images: Sequence[str], folder: Path
    ) -> Packed:
        """Archive what the nodes' docker keeps, and save the images of their roots."""
        found = self._saves.images(lab, label)
        (folder / "disks").mkdir()
        disks = self._pack_disks(lab, label, known, found, folder / "disks")
        point("push:packed")
        by_node = {node: f"{REPOSITORY}:{image_tag(lab, node, label)}" for node in found}
        archive = folder / "images.tar"
        try:
            names = [*by_node.values(), *images]
            self._host.daemon.run(["save", "--output", archive, *names])
        except CommandError as error:
            raise StageError(
                f"the images of the saved state {label} could not be read", details=error.details
            ) from error
        (folder / "layers").mkdir()
        read = archives.read(archive, folder / "layers")
        archive.unlink()
        # Layers of the node image are in each of them, and stay what they are.
        kept = {layer for name in images for layer in read[name].layers}
        roots = {node: _without_private(read[name], kept) for node, name in by_node.items()}
        return Packed(disks, roots, {name: read[name] for name in images})

    def lacking(self, images: Iterable[str]) -> list[str]:
        """Ask docker for each image."""
        from docker.errors import ImageNotFound

        found = []
        for name in images:
            try:
                self.client.images.get(name)
            except ImageNotFound:
                found.append(name)
        return found

    def load(self, images: Mapping[str, PackedImage], folder: Path) -> None:
        """Unpack the layers and have docker load them."""
        from docker.errors import APIError

        if not images:
            return
        plain = _plain(images, folder)
        try:
            api: Any = self.client.api
            said = list(api.load_image(archives.write(plain)) or ())
        except APIError as error:
            raise StageError(
                "docker did not load an image that was fetched", details=str(error.explanation)
            ) from error
        if lacking := self.lacking(images):
            raise StageError(f"docker did not load {lacking[0]}", details=str(said)[-500:])

    def unpack(self, tag: Tag, label: str, arrived: Arrived, folder: Path) -> None:
        """Make a volume and images as a save does, and put layers that are new into the store."""
        from docker.errors import APIError

        lab = tag.lab
        nodes = list(arrived.packed.disks)
        api: Any = self.client.api
        volume = saved_volume(lab, label)
        try:
            store = layers.store(self.client, arrived.images.tag)
            labels = tag.labels() | {SAVE: label, NODES: ",".join(nodes), NEEDS: store}
            api.create_volume(volume, labels=labels)
            point("fetch:volume-made")
            self._unpack_disks(tag, volume, store, arrived, folder)
        except APIError as error:
            raise StageError(
                "a saved state that was fetched could not be unpacked",
                details=str(error.explanation),
            ) from error
        point("fetch:unpacked")
        missing = sorted(self._host.missing_capabilities())
        roots = {
            f"{REPOSITORY}:{image_tag(lab, node, label)}": _labelled(
                image, labels, lambda body: _moved(body, arrived.lab, lab, store, missing)
            )
            for node, image in arrived.packed.roots.items()
        }
        self.load(roots, folder)
        point("fetch:loaded")

    def _pack_disks(
        self,
        lab: str,
        label: str,
        known: Collection[str],
        images: Mapping[str, Mapping[str, Any]],
        folder: Path,
    ) -> dict[str, Path]:
        volume = saved_volume(lab, label)
        volumes = Volumes(self.client, [volume])
        roots = {node: volumes.path(volume, node) for node in images}
        volumes.run(
            resource_name(lab, "pack"),
            next(iter(images.values()))["Id"],
            _program("layers_pack.py", HERE, json.dumps(roots), json.dumps(sorted(known))),
            self._saves.labels(lab, label),
            otherwise="what the nodes' docker keeps could not be archived",
            also={str(folder): HERE},
        )
        return {node: folder / f"{node}.tar" for node in images}

    def _unpack_disks(
        self, tag: Tag, volume: str, store: str, arrived: Arrived, folder: Path
    ) -> None:
        volumes = Volumes(self.client, [volume, store])
        names = {
            f"{arrived.registry}/{ref}": ref
            for refs in arrived.images.by_node.values()
            for ref in refs
        }
        seen = {path: _seen(path, arrived.root) for path in _paths(arrived)}
        plan = {
            "nodes": {
                volumes.path(volume, node): seen[path]
                for node, path in arrived.packed.disks.items()
            },
            "layers": [[chain, seen[path]] for chain, path in arrived.layers.items()],
            "names": names,
        }
        (folder / PLAN).write_text(json.dumps(plan), encoding="utf-8")
        known = f"{docker_spec.NODE_IMAGES}:"
        image = next(name for name in arrived.packed.images if name.startswith(known))
        volumes.run(
            resource_name(tag.lab, "copy"),
            image,
            _program(
                "layers_unpack.py",
                volumes.path(store),
                docker_spec.LAYERS,
                _below(folder / PLAN, arrived.root),
            ),
            tag.labels(),
            otherwise="the saved state that was fetched could not be unpacked",
            also={str(arrived.root): HERE},
        )


def _program(name: str, *words: str) -> list[str]:
    """The command of a program that runs in a helper."""
    here = files("pytest_kollalab.providers.docker")
    module = (here / "layers_copy.py").read_text(encoding="utf-8")
    text = (here / "in_helpers" / name).read_text(encoding="utf-8")
    return ["python3", "-Ic", START, layers_copy.__name__, module, text, *words]


def _paths(arrived: Arrived) -> list[Path]:
    return [*arrived.packed.disks.values(), *arrived.layers.values()]


def _seen(path: Path, folder: Path) -> str:
    """An archive as a helper sees it, and how it is compressed, which its name does not say."""
    return f"{_below(path, folder)}#{compression(path)}"


def _below(path: Path, folder: Path) -> str:
    return posixpath.join(HERE, str(path.relative_to(folder)))


def compression(path: Path) -> str:
    """The end of a name that tells how a file is compressed; empty for a plain one."""
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"\x28\xb5\x2f\xfd":
        return ".zst"
    return ".gz" if start.startswith(b"\x1f\x8b") else ""


def _plain(images: Mapping[str, PackedImage], folder: Path) -> dict[str, PackedImage]:
    """The images with layers that are not compressed; each layer is unpacked once."""
    from pytest_kollalab.system.run import run

    unpacked: dict[Path, Path] = {}

    def plain(layer: Path) -> Path:
        if layer not in unpacked:
            kind = compression(layer)
            if kind != ".zst":
                return layer
            unpacked[layer] = folder / f"{layer.name}.tar"
            run(["zstd", "-d", "-q", "-f", layer, "-o", unpacked[layer]])
        return unpacked[layer]

    return {
        name: PackedImage(image.config, tuple(map(plain, image.layers)))
        for name, image in images.items()
    }


def _without_private(image: PackedImage, kept: Collection[Path]) -> PackedImage:
    diffs = []
    for layer, diff in zip(image.layers, image.config["rootfs"]["diff_ids"], strict=True):
        diffs.append(diff if layer in kept else archives.without(layer, is_public))
    body = json.loads(image.config["config"]["Labels"][MADE_FROM])
    body["Labels"] = {}
    config = archives.scrubbed(image.config, {MADE_FROM: json.dumps(body)})
    config["rootfs"] = {**config["rootfs"], "diff_ids": diffs}
    return PackedImage(config, image.layers)


def is_public(path: str) -> bool:
    """Whether a file of a node may go to another host."""
    return not path.startswith(PRIVATE)


def _labelled(
    image: PackedImage, labels: Mapping[str, str], change: Callable[[dict[str, Any]], None]
) -> PackedImage:
    body = json.loads(image.config["config"]["Labels"][MADE_FROM])
    change(body)
    own = {**labels, MADE_FROM: json.dumps(body)}
    about = {**image.config["config"], "Labels": own}
    return PackedImage({**image.config, "config": about}, image.layers)


def _moved(body: dict[str, Any], former: str, lab: str, store: str, missing: Sequence[str]) -> None:
    """Have what a node's container is made from name what this host has."""
    host = body["HostConfig"]
    host["CapDrop"] = list(missing)
    prefix = resource_name(former, "")

    def renamed(name: str) -> str:
        if not name.startswith(prefix):
            return name
        return resource_name(lab, name.removeprefix(prefix))

    host["Mounts"] = [
        {**mount, "Source": renamed(mount["Source"])}
        for mount in host["Mounts"]
        if mount["Target"] != docker_spec.LAYERS
    ]
    host["Mounts"].append(docker_spec.read_only(store, docker_spec.LAYERS))
    host["NetworkMode"] = renamed(host["NetworkMode"])
    body["Networks"] = {renamed(name): address for name, address in body["Networks"].items()}
