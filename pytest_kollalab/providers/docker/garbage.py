"""What docker nodes leave behind for later ones, and nothing uses any more."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from pytest_kollalab.engine.garbage import InUse, Item
from pytest_kollalab.providers.docker import layers as docker_layers

if TYPE_CHECKING:
    from docker import DockerClient


def layers(client: DockerClient, used: InUse, older_than: float) -> Iterator[Item]:
    """Layers that nodes shared, of images that nothing uses; no node or saved state needs them."""
    needed = docker_layers.needed(client)
    for volume in docker_layers.stores(client):
        tag = volume["Labels"][docker_layers.LABEL]
        age = time.time() - datetime.datetime.fromisoformat(volume["CreatedAt"]).timestamp()
        if tag not in used.tags and age >= older_than and volume["Name"] not in needed:
            remove = partial(client.api.remove_volume, volume["Name"])
            why = "layers of images that nothing uses, for the next nodes"
            yield Item("layers", tag, why, age, None, remove)
