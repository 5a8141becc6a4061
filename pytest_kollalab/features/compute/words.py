"""The guest image and the flavor that servers are made of."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.features.compute.guest.image import guest_image
from pytest_kollalab.sdn.tenant.server import GUEST
from pytest_kollalab.system import locks
from pytest_kollalab.system.signals import uninterrupted

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.settings.config import Options
    from pytest_kollalab.system.paths import Paths

MEMORY_MB = 128


class Compute:
    """The guest image and the flavor of servers, created in the cloud if they do not exist.

    Attributes:
        image_id: The id of the image.
        image_name: Its name.
        flavor_id: The id of the flavor.
        flavor_name: Its name.
    """

    flavor_name = GUEST

    def __init__(self, cloud: Connection, paths: Paths, options: Options) -> None:
        self._made = ExitStack()
        guest = guest_image(paths.cache, mirror=options.mirror)
        self.image_name = f"{GUEST}-{guest.stem}"
        # Without the lock, parallel workers would all upload an image: names need not be unique.
        with locks.exclusive(
            guest.with_name("upload.lock"), "bring the guest image into the cloud"
        ):
            self.image_id = self._image(cloud, guest, self.image_name)
            self.flavor_id = self._flavor(cloud)

    def remove(self) -> None:
        """Remove what this object created. A lab is removed as a whole and does not need it."""
        self._made.close()

    def _image(self, cloud: Connection, path: Path, name: str) -> str:
        found: Any = next(iter(cloud.image.images(name=name, status="active")), None)
        if found is None:
            with path.open("rb") as data, uninterrupted():
                found = cloud.image.create_image(
                    name,
                    data=data,  # type: ignore[arg-type]  # a file is read in parts; typed as bytes
                    disk_format="raw",
                    container_format="bare",
                    visibility="public",
                    wait=True,
                    tags=[GUEST],
                )
                self._made.callback(cloud.image.delete_image, found.id)
        return str(found.id)

    def _flavor(self, cloud: Connection) -> str:
        found = cloud.compute.find_flavor(GUEST)
        if found is None:
            with uninterrupted():
                found = cloud.compute.create_flavor(name=GUEST, ram=MEMORY_MB, vcpus=1, disk=1)
                self._made.callback(cloud.compute.delete_flavor, found.id)
        return str(found.id)
