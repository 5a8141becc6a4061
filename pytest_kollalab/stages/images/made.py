"""The result of the stage `images`: the images of a lab in the registry's store."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pytest_kollalab.engine.made import Made
from pytest_kollalab.providers.base import RegistrySource


@dataclass(frozen=True, kw_only=True)
class ImagesMade(Made):
    """The Kolla images of a lab in the registry's store.

    The reference of an image is `namespace/name:tag`.

    Attributes:
        namespace: The namespace of all images.
        tag: The tag of all images.
        images: The names of the images.
        registry_root: The folder of the store.
        registry_image: The image of the registry. Empty if nodes need no registry.
        base_image: The image that the others are built on.
    """

    stage: ClassVar[str] = "images"
    namespace: str
    tag: str
    images: tuple[str, ...]
    registry_root: Path
    registry_image: str
    base_image: str = ""

    @property
    def registry(self) -> RegistrySource:
        """The registry that nodes pull from."""
        return RegistrySource(self.registry_image, self.registry_root)
