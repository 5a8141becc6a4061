"""Kolla's images in the registry's store, as blobs that travel: found there, and laid there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_kollalab.providers.docker.layers_copy import chains
from pytest_kollalab.stages.golden.artifact import IMAGE, IMAGE_CONFIG, Blob, StoredImage
from pytest_kollalab.stages.golden.layout import Folder
from pytest_kollalab.stages.images import store
from pytest_kollalab.system import daemon
from pytest_kollalab.system.errors import CommandError, StageError

# Where the helper sees the cache.
CACHE = "/cache"


@dataclass(frozen=True)
class Stored:
    """Images of the store.

    Attributes:
        images: The images, by repository and tag.
        files: The file of each of their blobs.
        chains: The digest of each layer's blob, by the identity of the layer with all below it.
    """

    images: Mapping[str, StoredImage]
    files: Mapping[Blob, Path]
    chains: Mapping[str, str]


def find(root: Path, references: Iterable[str]) -> Stored:
    """Find images in the store.

    Args:
        root: The folder of the store.
        references: Their repositories and tags.

    Raises:
        StageError: One of them is not there.
    """
    images: dict[str, StoredImage] = {}
    files: dict[Blob, Path] = {}
    found_chains: dict[str, str] = {}
    for reference in references:
        digest = store.digest_of(root, reference)
        path = store.blob(root, digest) if digest is not None else None
        if digest is None or path is None or not path.is_file():
            raise StageError(
                f"the registry's store has no {reference}",
                details="the golden state runs it",
                hint="kollalab up --fresh images builds it again",
            )
        text = path.read_bytes()
        table = json.loads(text)
        files[Blob(digest, len(text), IMAGE)] = path
        config, layers = table["config"], table["layers"]
        files[Blob(config["digest"], config["size"], IMAGE_CONFIG)] = store.blob(
            root, config["digest"]
        )
        for each in layers:
            blob = Blob(each["digest"], each["size"], each["mediaType"])
            files[blob] = store.blob(root, blob.digest)
        names = tuple(str(each["digest"]) for each in layers)
        images[reference] = StoredImage(digest, table["mediaType"], config["digest"], names)
        about = json.loads(store.blob(root, config["digest"]).read_bytes())
        found_chains |= chains_of(about, names)
    return Stored(images, files, found_chains)


def chains_of(config: Mapping[str, Any], layers: Sequence[str]) -> dict[str, str]:
    """The blob of each layer of an image by the layer's identity, the lowest first.

    Args:
        config: The configuration of the image.
        layers: The digests of its layers.
    """
    return dict(zip(chains(config["rootfs"]["diff_ids"]), layers, strict=True))


def lay(
    cache: Path,
    folder: Folder,
    images: Mapping[str, StoredImage],
    image: str,
    labels: Iterable[str],
) -> None:
    """Have images in the store whose blobs are there, or in a folder below the cache.

    A helper does it: what a registry wrote belongs to its user. Blobs are linked. An image is there
    for others when all of it is.

    Args:
        cache: The folder of the cache, which has the store.
        folder: The folder with blobs.
        images: The images, by repository and tag.
        image: An image of docker's that has Python.
        labels: The labels of the helper, as `name=value`.

    Raises:
        StageError: The store cannot be written.
    """
    text = (resources.files("pytest_kollalab.stages.golden") / "lay.py").read_text("utf-8")
    blobs = str(folder.path("").relative_to(cache))
    # So that it belongs to this user if this is the first use of it.
    (cache / "registry").mkdir(parents=True, exist_ok=True)
    plan = {
        "from": f"{CACHE}/{blobs}",
        "store": f"{CACHE}/registry/docker/registry/v2",
        "images": {
            name: [each.manifest, each.config, *each.layers] for name, each in images.items()
        },
    }
    argv = ["run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python3"]
    argv += [f"--label={label}" for label in labels]
    argv += ["--volume", f"{cache}:{CACHE}", image, "-Ic", text]
    try:
        daemon.resolve().run(argv, input=json.dumps(plan))
    except CommandError as error:
        raise StageError(
            "the images that were fetched could not be put into the registry's store",
            details=error.details,
            hint=f"is there room in {cache}?",
        ) from error


def missing(root: Path, folder: Folder, blobs: Iterable[Blob]) -> Iterator[Blob]:
    """The blobs that neither the store nor a folder has.

    Args:
        root: The folder of the store.
        folder: The folder.
        blobs: The blobs.
    """
    for blob in blobs:
        path = store.blob(root, blob.digest)
        if not (path.is_file() and path.stat().st_size == blob.size) and not folder.has(blob):
            yield blob
