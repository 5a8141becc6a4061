"""What the stage `images` made: where the registry's store is, and what it has for a lab."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pytest_kollalab.engine.made import Made
from pytest_kollalab.providers.base import RegistrySource


@dataclass(frozen=True, kw_only=True)
class ImagesMade(Made):
    """The Kolla images of a lab, in the registry's store.

    Their references are `namespace/name:tag`, for each name in `images`. `registry_root` is the
    store's folder, `registry_image` the image that serves it, empty where nodes need no registry.
    `base_image` is what the images are built on.
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
