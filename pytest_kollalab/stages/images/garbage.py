"""Searches for unused images in docker and the registry's store, and for their files."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.garbage import Delete, InUse, Item, Searches, is_held, size_of
from pytest_kollalab.engine.records import LAB_LABEL
from pytest_kollalab.features import image_folders
from pytest_kollalab.features.image_folders import Folder
from pytest_kollalab.features.registry import built_in
from pytest_kollalab.releases import releases
from pytest_kollalab.stages.images import registry, store
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.system import daemon, debian
from pytest_kollalab.system.debian import LABEL
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.paths import Paths

if TYPE_CHECKING:
    from docker import DockerClient

# The suffix of the tag of an upstream image that an override is built on.
BELOW = "-upstream"


def uses(suite: str, mirror: str, made: Sequence[ImagesMade]) -> InUse:
    """The tags and images that these results use, and the base images of a suite and mirror."""
    own = {each.tag for each in made}
    tags = {folder.tag(tag) for tag in own for folder in _folders()}
    base = debian.reference(suite, mirror)
    names = {base, registry.reference(base)}
    names |= {name for each in made for name in (each.registry_image, each.base_image)}
    return InUse({}, frozenset({*own, *tags, *(tag + BELOW for tag in own)}), frozenset(names))


def searches(paths: Paths, used: InUse, older_than: float) -> Searches:
    """The searches for unused images and files, by kind."""
    return {
        "images": lambda: images(daemon.connect(), paths, used, older_than),
        "store": lambda: stored(daemon.connect(), paths, used, older_than),
        "files": lambda: files(paths, used, older_than),
    }


def images(client: DockerClient, paths: Paths, used: InUse, older_than: float) -> Iterator[Item]:
    """Images in docker that were built here and that neither a lab nor a container uses, by tag."""
    if is_held(paths.shared_lock("images")):
        return
    api: Any = client.api
    ours = api.images(filters={"label": [LABEL]})
    # Images of saved states are removed with their lab.
    ours = [each for each in ours if LAB_LABEL not in (each["Labels"] or {})]
    listed = [api.inspect_image(each["Id"]) for each in ours]
    running = {each["ImageID"] for each in api.containers(all=True)}
    groups: dict[str, list[dict[str, Any]]] = {}
    for image in listed:
        for name in image["RepoTags"] or [""]:
            if image["Id"] not in running and not _is_kept(name, used):
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


def stored(client: DockerClient, paths: Paths, used: InUse, older_than: float) -> Iterator[Item]:
    """Unused tags in the registry's store, with the size of the blobs that only they need."""
    guard = paths.shared_lock("images")
    root = paths.cache / "registry"
    if is_held(guard) or not root.is_dir():
        return
    tags = store.tags(root)
    for tag, repositories in sorted(tags.items()):
        age = time.time() - max(path.stat().st_mtime for path in repositories)
        if tag in used.tags or age < older_than:
            continue
        others = [path for other, paths_ in tags.items() if other != tag for path in paths_]
        size = store.only_in(root, repositories, others)
        why = f"{len(repositories)} images in the registry's store that nothing uses"
        yield Item("store", tag, why, age, size, store.Forget(client, root, tag, guard))


def files(paths: Paths, used: InUse, older_than: float) -> Iterator[Item]:
    """Build folders, logs and records of unused tags, and unused sources."""
    guard = paths.shared_lock("images")
    if is_held(guard):
        return
    wanted = _sources()
    folder = paths.cache / "images"
    old: dict[Path, str] = {}
    for path in [*(folder / "build").glob("*"), *(paths.cache / "logs" / "images").glob("*")]:
        if path.name not in used.tags:
            old[path] = "of a tag that nothing uses"
    for path in (folder / "sources").glob("*"):
        if path.is_file() and path.name not in wanted:
            old[path] = "a source that no release of this version uses"
    for path in (paths.shared("images") / "records").glob("*.json"):
        if path.stem not in used.of("images"):
            old[path] = "the record of images that nothing uses"
    for path, why in sorted(old.items()):
        age = time.time() - path.stat().st_mtime
        if age >= older_than:
            yield Item("files", str(path.relative_to(paths.cache)), why, age, size_of(path),
                       Delete([path], guard))  # fmt: skip


def own_sizes(images: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The bytes that each image adds to its parent, by the image's ID."""
    chains = {image["Id"]: tuple(image["RootFS"].get("Layers") or ()) for image in images}
    sizes = {image["Id"]: int(image["Size"]) for image in images}
    by_chain = {chain: sizes[each] for each, chain in chains.items()}
    own = {}
    for each, chain in chains.items():
        below = next((by_chain[chain[:n]] for n in range(len(chain) - 1, 0, -1)
                      if chain[:n] in by_chain), 0)  # fmt: skip
        own[each] = max(sizes[each] - below, 0)
    return own


class _RemoveImages:
    """Removes images from docker, children before their parents."""

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
                # Keep it if it is gone or in use, or if another image is built on it.
                if error.status_code not in (404, 409):
                    raise KollalabError(
                        f"docker did not remove {name}", details=str(error.explanation)
                    ) from error


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


def _is_kept(name: str, used: InUse) -> bool:
    repository, _, tag = name.rpartition(":")
    return name in used.images or (repository.startswith("kolla/") and tag in used.tags)


def _group(name: str) -> str:
    repository, _, tag = name.rpartition(":")
    if not repository:
        return "without a name"
    return f"kolla/*:{tag}" if repository.startswith("kolla/") else name


def _when(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
