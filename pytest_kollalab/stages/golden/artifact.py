"""A golden state as an OCI artifact: one manifest by key, and what its configuration says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pytest_kollalab.system.digest import sha256_of
from pytest_kollalab.system.errors import StageError

# Of the contents that `Golden` describes. Another one is not fetched.
FORMAT = 1
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
ARTIFACT = "application/vnd.kollalab.golden.v1"
CONFIG = "application/vnd.kollalab.golden.config.v1+json"
TAR = "application/vnd.oci.image.layer.v1.tar+zstd"
# What the manifest of an image is among the layers. By its own type registries would want it as a
# manifest of theirs.
IMAGE = "application/vnd.kollalab.image.manifest.v1+json"
IMAGE_CONFIG = "application/vnd.oci.image.config.v1+json"
ALGORITHM = "sha256:"
CHUNK = 2**20


@dataclass(frozen=True)
class Blob:
    """A part of an artifact, by its content.

    Attributes:
        digest: `sha256:` and 64 hexadecimal digits, of the bytes as they travel.
        size: How many bytes they are.
        media: Their media type.
    """

    digest: str
    size: int
    media: str = TAR

    @property
    def hex(self) -> str:
        """The digest without its algorithm."""
        return self.digest.removeprefix(ALGORITHM)

    def descriptor(self) -> dict[str, Any]:
        """The descriptor in a manifest."""
        return {"mediaType": self.media, "digest": self.digest, "size": self.size}


@dataclass(frozen=True)
class StoredImage:
    """An image as the registry's store has it: the digests of its manifest and its parts.

    `media` is the media type of the manifest. `layers` are in their order, the lowest first.
    """

    manifest: str
    media: str
    config: str
    layers: tuple[str, ...]


@dataclass(frozen=True)
class LoadedImage:
    """An image that docker loads: its configuration, and the digests of its layers' archives."""

    config: Mapping[str, Any]
    layers: tuple[str, ...]


@dataclass(frozen=True)
class Golden:
    """What a golden state is, and which blobs are what of it.

    Attributes:
        key: The key of the cloud.
        images_key: The key of its images.
        version: The version of this package that made it.
        made: When it was saved, as an ISO 8601 time in UTC.
        lab: The name that the lab had.
        provider: The provider of the nodes.
        driver: How nodes keep their images: the storage driver of their docker.
        architecture: That of the host, as `x86_64`.
        release: The release of OpenStack.
        features: The features of the cloud.
        tag: The tag of the images.
        registry_image: The name of the image of the registry.
        base_image: The name of the image that the others were built on.
        store: The images in the registry's store, by repository and tag.
        loaded: The images that docker has to have, by name.
        roots: What the nodes have beside the node image, by node.
        disks: The blob with what a node's docker keeps, by node.
        nodes: What the provider made, as JSON.
        files: The blob with the record and the configuration of the cloud.
        unpacked: The bytes that a blob takes when it is unpacked, by digest.
        format: The version of this description.
    """

    key: str
    images_key: str
    version: str
    made: str
    lab: str
    provider: str
    driver: str
    architecture: str
    release: str
    features: tuple[str, ...]
    tag: str
    registry_image: str
    base_image: str
    store: Mapping[str, StoredImage]
    loaded: Mapping[str, LoadedImage]
    roots: Mapping[str, LoadedImage]
    disks: Mapping[str, str]
    nodes: Mapping[str, Any]
    files: str
    unpacked: Mapping[str, int] = field(default_factory=dict)
    format: int = FORMAT

    def text(self) -> bytes:
        """The configuration of the artifact."""
        return json.dumps(asdict(self), sort_keys=True).encode()


@dataclass(frozen=True)
class Manifest:
    """The manifest of an artifact: the blob with the configuration, and all others."""

    config: Blob
    layers: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All blobs."""
        return (self.config, *self.layers)

    def by_digest(self) -> dict[str, Blob]:
        """All blobs by their digests."""
        return {blob.digest: blob for blob in self.blobs}

    def text(self) -> bytes:
        """The bytes of the manifest; its digest is made from them."""
        table = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": ARTIFACT,
            "config": self.config.descriptor(),
            "layers": [blob.descriptor() for blob in self.layers],
        }
        return json.dumps(table, sort_keys=True).encode()


def make(golden: Golden, blobs: Iterable[Blob]) -> tuple[Manifest, bytes]:
    """The manifest of a golden state and the text of its configuration.

    Args:
        golden: The golden state.
        blobs: All other blobs; the same one may be there more than once.
    """
    text = golden.text()
    config = Blob(digest_of(text), len(text), CONFIG)
    layers = {blob.digest: blob for blob in blobs}
    return Manifest(config, tuple(layers[digest] for digest in sorted(layers))), text


def read_manifest(text: bytes, where: str) -> Manifest:
    """Read a manifest.

    Args:
        text: Its bytes.
        where: Where it is from, for the message.

    Raises:
        StageError: It is not that of a golden state.
    """
    try:
        table = json.loads(text)
        if table.get("artifactType") != ARTIFACT or table["config"]["mediaType"] != CONFIG:
            raise ValueError(f"it is a {table.get('artifactType') or table.get('mediaType')}")
        return Manifest(_blob(table["config"]), tuple(_blob(each) for each in table["layers"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StageError(f"{where} is no golden state", details=str(error)) from error


def read_golden(text: bytes, where: str) -> Golden:
    """Read the configuration of an artifact.

    Args:
        text: Its bytes.
        where: Where it is from, for the message.

    Raises:
        StageError: It was made by another version, or is damaged.
    """
    import msgspec

    try:
        table = json.loads(text)
        if table.get("format") != FORMAT:
            raise StageError(
                f"{where} was made by pytest-kollalab {table.get('version', 'of another version')}",
                details=f"its format is {table.get('format')}, this version knows {FORMAT}",
            )
        return msgspec.convert(table, Golden)
    except (ValueError, AttributeError) as error:
        raise StageError(f"{where} is no golden state", details=str(error)) from error


def json_of(path: Path) -> dict[str, Any]:
    """The table in a file of JSON."""
    table: dict[str, Any] = json.loads(path.read_bytes())
    return table


def digest_of(data: bytes) -> str:
    """The digest of bytes."""
    return f"{ALGORITHM}{hashlib.sha256(data).hexdigest()}"


def digest_of_file(path: Path) -> str:
    """The digest of a file."""
    return f"{ALGORITHM}{sha256_of(path)}"


def _blob(table: Mapping[str, Any]) -> Blob:
    digest, size = str(table["digest"]), int(table["size"])
    plain = digest.removeprefix(ALGORITHM)
    # It becomes part of paths.
    if not digest.startswith(ALGORITHM) or len(plain) != 64 or set(plain) - set("0123456789abcdef"):
        raise ValueError(f"{digest!r} is no digest")
    return Blob(digest, size, str(table["mediaType"]))
