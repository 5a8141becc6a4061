"""What both stages `images` share: results in the registry's store, and what may go from it."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kollalab.engine.garbage import InUse, Searches
from pytest_kollalab.engine.stage import Stage
from pytest_kollalab.releases.releases import Release
from pytest_kollalab.settings.config import Options
from pytest_kollalab.stages.images import garbage, registry
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.system import daemon, debian
from pytest_kollalab.system.paths import Paths


class StoredImagesStage(Stage[ImagesMade]):
    """A stage whose images are in the store of the lab's registry, for all labs of the host.

    Args:
        release: The release of OpenStack.
        options: The options of this run.
        paths: Folders for state and cache.
        names: Names of the images that are needed.
    """

    makes = ImagesMade
    name = "images"
    shared = True
    resumable = True

    def __init__(
        self, release: Release, options: Options, paths: Paths, names: Sequence[str]
    ) -> None:
        self.release = release
        self.names = sorted(names)
        self.mirror = options.mirror
        self.cache = paths.cache / "images"
        self.store = paths.cache / "registry"
        self.paths = paths

    def check_sources(self) -> None:
        """Ask the Debian mirror for the suite of the images, if there is no base image yet."""
        suite, mirror = self.release.suite, self.mirror
        if not registry.exists(daemon.connect(), debian.reference(suite, mirror)):
            debian.check_mirror(suite, mirror)

    def uses(self, made: Sequence[ImagesMade]) -> InUse:
        """The tags of these results, their base images and the registry's image."""
        return garbage.uses(self.release.suite, self.mirror, made)

    def garbage(self, used: InUse, older_than: float) -> Searches:
        """Searches for unused images in docker and the store, build folders, logs and sources."""
        return garbage.searches(self.paths, used, older_than)

    def gone(self, made: ImagesMade) -> str | None:
        """Which image is missing in the store or in docker, or None if none is."""
        if reason := registry.lacking(made.registry_root, made.tag, self.names):
            return reason
        if not registry.exists(daemon.connect(), made.registry_image):
            return f"docker does not have {made.registry_image}"
        return None
