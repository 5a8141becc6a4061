"""A place where golden states are kept: a registry, or a folder or file in OCI's image layout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

from pytest_kollalab.stages.golden.artifact import Blob

# Called with the number of bytes that have come or gone.
Moved = Callable[[int], None]


class Place(ABC):
    """Where golden states are kept, each under a tag.

    Methods raise StageError when the place cannot be used, with the reason.
    """

    @abstractmethod
    def manifest(self, tag: str) -> bytes | None:
        """The bytes of the manifest with a tag, or None if there is none."""

    @abstractmethod
    def has(self, blob: Blob) -> bool:
        """Whether a blob is there."""

    @abstractmethod
    def get(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Append what is missing of a blob to a file, which may have the beginning of it.

        Args:
            blob: The blob.
            path: The file. Its digest is not checked.
            moved: Called with the number of bytes that have come.
        """

    @abstractmethod
    def put(self, blob: Blob, path: Path, moved: Moved) -> None:
        """Take in a blob from a file.

        Args:
            blob: The blob.
            path: The file, with just its bytes.
            moved: Called with the number of bytes that have gone.
        """

    @abstractmethod
    def tag(self, tag: str, manifest: bytes) -> None:
        """Take in a manifest, all of whose blobs are there, and give it a tag."""

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """End what was opened."""
