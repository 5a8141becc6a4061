"""The archives of `docker save` and `docker load`: images as configurations and layers."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_kollalab.providers.base import PackedImage
from pytest_kollalab.system.digest import sha256_of
from pytest_kollalab.system.errors import StageError

CHUNK = 2**20
INDEX = "manifest.json"
# What a configuration says of an image wherever it is.
OF_ANY_HOST = ("architecture", "created", "os", "rootfs", "variant")
Keep = Callable[[str], bool]


def read(archive: Path, folder: Path) -> dict[str, PackedImage]:
    """The images of an archive by their names; their layers are unpacked into a folder.

    Args:
        archive: What `docker save` wrote.
        folder: The folder for the layers, one file each, whatever number of images has it.

    Raises:
        StageError: It is not such an archive.
    """
    found = {}
    with tarfile.open(archive) as tar:
        for image in json.loads(_text(tar, INDEX)):
            config = json.loads(_text(tar, image["Config"]))
            layers = []
            for member, diff in zip(image["Layers"], config["rootfs"]["diff_ids"], strict=True):
                path = folder / f"{diff.partition(':')[2]}.tar"
                if not path.exists():
                    _unpack(tar, member, path)
                layers.append(path)
            for name in image["RepoTags"] or ():
                found[name] = PackedImage(config, tuple(layers))
    return found


def write(images: Mapping[str, PackedImage]) -> Iterator[bytes]:
    """The bytes of an archive for `docker load`.

    Args:
        images: The images by their names. Their layers are plain tar files.
    """
    index, laid = [], set()
    for name, image in images.items():
        config = json.dumps(image.config, sort_keys=True).encode()
        file = f"{hashlib.sha256(config).hexdigest()}.json"
        yield from _member(file, len(config), iter([config]))
        paths = []
        for layer, diff in zip(image.layers, image.config["rootfs"]["diff_ids"], strict=True):
            path = f"{diff.partition(':')[2]}/layer.tar"
            paths.append(path)
            if path not in laid:
                laid.add(path)
                yield from _member(path, layer.stat().st_size, _chunks(layer))
        index.append({"Config": file, "RepoTags": [name], "Layers": paths})
    text = json.dumps(index).encode()
    yield from _member(INDEX, len(text), iter([text]))
    yield bytes(2 * tarfile.BLOCKSIZE)


def without(layer: Path, keep: Keep) -> str:
    """Leave files out of the archive of a layer.

    Args:
        layer: The archive, which is replaced.
        keep: Whether a path stays, without a slash at its beginning.

    Returns:
        The new identity of the layer: `sha256:` and 64 hexadecimal digits.
    """
    half = layer.with_suffix(".half")
    # The same archive from the same files, whatever wrote it.
    with tarfile.open(layer) as old, tarfile.open(half, "w", format=tarfile.PAX_FORMAT) as new:
        for member in old:
            if keep(member.name.removeprefix("./").strip("/")):
                new.addfile(member, old.extractfile(member) if member.isreg() else None)
    half.replace(layer)
    return f"sha256:{sha256_of(layer)}"


def _text(tar: tarfile.TarFile, name: str) -> bytes:
    try:
        file = tar.extractfile(name)
    except KeyError:
        file = None
    if file is None:
        raise StageError("docker wrote an archive that is not known", details=f"it has no {name}")
    return file.read()


def _unpack(tar: tarfile.TarFile, member: str, path: Path) -> None:
    source = tar.extractfile(member)
    assert source is not None, "a layer is a file, or a link to one"
    with path.open("wb") as target:
        while data := source.read(CHUNK):
            target.write(data)


def _member(name: str, size: int, data: Iterator[bytes]) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    yield info.tobuf()
    yield from data
    yield bytes(-size % tarfile.BLOCKSIZE)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data


def scrubbed(config: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """The configuration of an image with these labels, without what tells where it was made."""
    kept = {k: v for k, v in config.items() if k in OF_ANY_HOST}
    about = {
        k: v for k, v in (config.get("config") or {}).items() if k not in ("Hostname", "Image")
    }
    # One for each layer: docker tells the sizes of layers by it.
    history = [{"created": config.get("created")} for _ in config["rootfs"]["diff_ids"]]
    return {**kept, "history": history, "config": {**about, "Labels": dict(labels)}}
