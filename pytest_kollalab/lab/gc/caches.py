"""The caches: tools, images and files that no release of this version and no lab uses."""

from __future__ import annotations

import datetime
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.features import image_folders
from pytest_kollalab.features.base import stock_images
from pytest_kollalab.features.image_folders import Folder
from pytest_kollalab.features.registry import built_in
from pytest_kollalab.lab.gc import store
from pytest_kollalab.lab.gc.item import Item, is_held, size_of
from pytest_kollalab.lab.gc.labs import LABEL as OF_LAB
from pytest_kollalab.providers.docker import layers as docker_layers
from pytest_kollalab.providers.docker import node_image
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, ImagesConfig, Options
from pytest_kollalab.stages.images import registry
from pytest_kollalab.stages.images.pulled import BELOW, PulledImagesStage, images_stage
from pytest_kollalab.stages.tools import ToolsStage
from pytest_kollalab.system import debian, locks
from pytest_kollalab.system.debian import LABEL
from pytest_kollalab.system.errors import KollalabError, StateError
from pytest_kollalab.system.paths import Paths

if TYPE_CHECKING:
    from docker import DockerClient


@dataclass(frozen=True)
class InUse:
    """What is in use: the keys of tools and images, the tags of images, names of other images."""

    tools: frozenset[str]
    images: frozenset[str]
    tags: frozenset[str]
    names: frozenset[str]

    def has(self, tag: str) -> bool:
        """Whether images with this tag are in use, or such as others are built on."""
        return tag.removesuffix(BELOW) in self.tags


def kept(paths: Paths, config: Config) -> InUse:
    """What the releases of this version, this configuration and all labs use."""
    keys: dict[str, set[str]] = {"tools": set(), "images": set()}
    names = set()
    # Whatever this configuration's own mode is: the images of both are worth keeping.
    configs = [config, *(Config(release=name) for name in releases.RELEASES)]
    for each in configs:
        for name, current in _current(each, paths).items():
            keys[name] |= current
        suite = releases.get(each.release).suite
        names |= {debian.reference(suite), registry.reference(debian.reference(suite))}
        names.add(node_image.reference(each.nodes.suite))
    for path in (paths.state / "labs").glob("*/*.json"):
        record = _read(path)
        for name in keys if record is not None else ():
            keys[name] |= {record.needs[name]} if record and name in record.needs else set()
    tags = set()
    for key in keys["images"]:
        record = _read(paths.cache / "stages" / "images" / "records" / f"{key}.json")
        if record is not None and record.made:
            tag = str(record.made["tag"])
            tags |= {tag, *(folder.tag(tag) for folder in _folders())}
            names |= {str(record.made[k]) for k in ("registry_image", "base_image")
                      if record.made.get(k)}  # fmt: skip
    return InUse(*(frozenset(each) for each in (keys["tools"], keys["images"], tags, names)))


def tools(paths: Paths, kept: InUse, older_than: float) -> Iterator[Item]:
    """Virtual environments that nothing uses."""
    if is_held(paths.cache / "stages" / "tools.lock"):
        return
    records = paths.cache / "stages" / "tools" / "records"
    for folder in sorted((paths.cache / "tools").glob("*")):
        age = time.time() - folder.stat().st_mtime
        if folder.name not in kept.tools and age >= older_than:
            why = "tools that no release of this version and no lab uses"
            record = records / f"{folder.name}.json"
            remove = _Delete([folder, record], paths.cache / "stages" / "tools.lock")
            yield Item("tools", folder.name, why, age, size_of(folder), remove)


def images(client: DockerClient, paths: Paths, kept: InUse, older_than: float) -> Iterator[Item]:
    """Images of ours in docker, by tag, that nothing uses; containers keep theirs."""
    if is_held(paths.cache / "stages" / "images.lock"):
        return
    api: Any = client.api
    ours = api.images(filters={"label": [LABEL]})
    # Those of a saved state go with their lab.
    ours = [each for each in ours if OF_LAB not in (each["Labels"] or {})]
    listed = [api.inspect_image(each["Id"]) for each in ours]
    running = {each["ImageID"] for each in api.containers(all=True)}
    groups: dict[str, list[dict[str, Any]]] = {}
    for image in listed:
        for name in image["RepoTags"] or [""]:
            if image["Id"] not in running and not _is_kept(name, kept):
                groups.setdefault(_group(name), []).append(image)
    sizes = own_sizes(listed)
    for group, members in sorted(groups.items()):
        age = time.time() - max(_when(image["Created"]) for image in members)
        if age >= older_than:
            ids = {image["Id"] for image in members}
            names = {n for image in members for n in image["RepoTags"] or [image["Id"]]
                     if _group(n if image["RepoTags"] else "") == group}  # fmt: skip
            size = sum(sizes[each] for each in ids)
            count = f"{len(ids)} image{'s' if len(ids) > 1 else ''} in docker"
            yield Item(
                "images", group, f"{count} that nothing uses", age, size,
                _RemoveImages(client, sorted(names), sizes, listed),
            )  # fmt: skip


def stored(client: DockerClient, paths: Paths, kept: InUse, older_than: float) -> Iterator[Item]:
    """Tags in the registry's store that nothing uses, with the blobs that only they need."""
    guard = paths.cache / "stages" / "images.lock"
    root = paths.cache / "registry"
    if is_held(guard) or not root.is_dir():
        return
    tags = store.tags(root)
    for tag, repositories in sorted(tags.items()):
        age = time.time() - max(path.stat().st_mtime for path in repositories)
        if kept.has(tag) or age < older_than:
            continue
        others = [path for other, paths_ in tags.items() if other != tag for path in paths_]
        size = store.only_in(root, repositories, others)
        why = f"{len(repositories)} images in the registry's store that nothing uses"
        yield Item("store", tag, why, age, size, store.Forget(client, root, tag, guard))


def layers(client: DockerClient, kept: InUse, older_than: float) -> Iterator[Item]:
    """Layers that nodes shared, of images that nothing uses; no node or saved state needs them."""
    needed = docker_layers.needed(client)
    for volume in docker_layers.stores(client):
        tag = volume["Labels"][docker_layers.LABEL]
        age = time.time() - _when(volume["CreatedAt"])
        if not kept.has(tag) and age >= older_than and volume["Name"] not in needed:
            remove = partial(client.api.remove_volume, volume["Name"])
            why = "layers of images that nothing uses, for the next nodes"
            yield Item("layers", tag, why, age, None, remove)


def files(paths: Paths, kept: InUse, older_than: float) -> Iterator[Item]:
    """Build folders and logs of old tags, their records, old sources."""
    guard = paths.cache / "stages" / "images.lock"
    if is_held(guard):
        return
    wanted = _sources()
    folder = paths.cache / "images"
    old: dict[Path, str] = {}
    for path in [*(folder / "build").glob("*"), *(paths.cache / "logs" / "images").glob("*")]:
        if path.name not in kept.tags:
            old[path] = "of a tag that nothing uses"
    for path in (folder / "sources").glob("*"):
        if path.is_file() and path.name not in wanted:
            old[path] = "a source that no release of this version uses"
    for path in (paths.cache / "stages" / "images" / "records").glob("*.json"):
        if path.stem not in kept.images:
            old[path] = "the record of images that nothing uses"
    for path, why in sorted(old.items()):
        age = time.time() - path.stat().st_mtime
        if age >= older_than:
            yield Item("files", str(path.relative_to(paths.cache)), why, age, size_of(path),
                       _Delete([path], guard))  # fmt: skip


def own_sizes(images: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """What each image has beyond the one it stands on, in bytes, by its id."""
    chains = {image["Id"]: tuple(image["RootFS"].get("Layers") or ()) for image in images}
    sizes = {image["Id"]: int(image["Size"]) for image in images}
    by_chain = {chain: sizes[each] for each, chain in chains.items()}
    own = {}
    for each, chain in chains.items():
        below = next((by_chain[chain[:n]] for n in range(len(chain) - 1, 0, -1)
                      if chain[:n] in by_chain), 0)  # fmt: skip
        own[each] = max(sizes[each] - below, 0)
    return own


class _Delete:
    """Deletes files and folders, while nobody builds."""

    def __init__(self, paths: list[Path], guard: Path) -> None:
        self.paths = paths
        self.guard = guard

    def __call__(self) -> None:
        with locks.exclusive(self.guard, "collect garbage", timeout=10):
            for path in self.paths:
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)


class _RemoveImages:
    """Removes images from docker, those that stand on others first."""

    def __init__(
        self,
        client: DockerClient,
        names: list[str],
        sizes: Mapping[str, int],
        listed: Iterable[Mapping[str, Any]],
    ) -> None:
        self.client = client
        depth = {
            name: len(image["RootFS"].get("Layers") or ())
            for image in listed
            for name in [*(image["RepoTags"] or []), image["Id"]]
        }
        self.names = sorted(names, key=lambda name: -depth.get(name, 0))

    def __call__(self) -> None:
        from docker.errors import APIError

        for name in self.names:
            try:
                self.client.api.remove_image(name)
            except APIError as error:
                # In use meanwhile, or the base of an image of somebody else: it stays.
                if error.status_code not in (404, 409):
                    raise KollalabError(
                        f"docker did not remove {name}", details=str(error.explanation)
                    ) from error


def _current(config: Config, paths: Paths) -> dict[str, set[str]]:
    names = stock_images(built_in(config.release))
    built = Config(release=config.release, images=ImagesConfig())
    keys: dict[str, set[str]] = {"tools": set(), "images": set()}
    for each in (built, config):
        given = (each, Options(), paths)
        images = images_stage(*given, names=names)
        engine = Engine("gc", (ToolsStage(*given), images), paths)
        keys["tools"] = {engine.key("tools")}
        # No registry is asked here: what was not resolved yet is not there either.
        if not isinstance(images, PulledImagesStage) or images.recall():
            keys["images"].add(engine.key("images"))
    return keys


def _folders() -> list[Folder]:
    paths = {
        path: None
        for release in releases.RELEASES
        for feature in built_in(release)
        for path in feature.images_from
    }
    return [image_folders.read(path) for path in paths]


def _sources() -> set[str]:
    return {source.filename for release in releases.RELEASES.values() for source in release.sources}


def _is_kept(name: str, kept: InUse) -> bool:
    repository, _, tag = name.rpartition(":")
    return name in kept.names or (repository.startswith("kolla/") and kept.has(tag))


def _group(name: str) -> str:
    repository, _, tag = name.rpartition(":")
    if not repository:
        return "without a name"
    return f"kolla/*:{tag}" if repository.startswith("kolla/") else name


def _read(path: Path) -> records.Record | None:
    try:
        return records.load(path)
    except StateError:
        return None


def _when(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
