"""The stage `images` in its mode `pull`: copies images from another registry into the store."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

from pytest_kollalab.engine.stage import Inputs, Work
from pytest_kollalab.features import image_folders
from pytest_kollalab.features.base import stock_images
from pytest_kollalab.features.registry import built_in
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.images import NAMESPACE, mirror, registry, upstream
from pytest_kollalab.stages.images.garbage import BELOW
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.images.mirror import Copy
from pytest_kollalab.stages.images.stored import StoredImagesStage
from pytest_kollalab.system import daemon, debian, digest, files
from pytest_kollalab.system.errors import ConfigError, StageError
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.paths import Paths

# In seconds. Tags are resolved again after an hour: often enough for tags that move, but seldom
# enough for workers and successive runs to see the same images.
FRESH = 3600.0


class PulledImagesStage(StoredImagesStage):
    """Copies images from another registry into the store and builds overrides on top.

    Tags are resolved to digests, which determine the key and the tag in the store. The images of
    all built-in features are resolved, so that labs can share the key.

    Args:
        config: The project's configuration.
        options: The options of this run.
        paths: Folders for state and cache.
        names: Names of the images that are needed.
    """

    version = 1

    def __init__(
        self, config: Config, options: Options, paths: Paths, *, names: Sequence[str]
    ) -> None:
        super().__init__(releases.get(config.release), options, paths, names)
        self.config = config.images
        self.ca = options.registry_ca
        self.anew = "images" in options.fresh
        upstream.parse(self.config.source, self.ca)
        self.overrides = {n: _override(n, Path(f)) for n, f in self.config.overrides.items()}
        unknown = sorted(set(self.overrides) - set(self._universe()))
        if unknown:
            raise ConfigError(
                f"images.overrides: no image {unknown[0]} is pulled",
                hint=nearest(unknown[0], self._universe()),
            )

    @property
    def tag(self) -> str:
        """The tag in the other registry, which may move."""
        return self.config.tag or f"{self.release.name}-debian-{self.release.suite}"

    def manner(self) -> str:
        """Images are pulled, not built."""
        return "pull"

    def inputs(self) -> Inputs:
        """The digests of the images and of the overrides. The name of the registry has no part."""
        folders = {name: image_folders.digest(folder) for name, folder in self.overrides.items()}
        return {"mode": "pull", "digests": self.digests, "overrides": folders}

    @cached_property
    def digests(self) -> dict[str, str]:
        """The digest of each image.

        Digests are requested at most once an hour. If the registry does not answer, the last known
        ones are used.

        Raises:
            StageError: The registry does not have an image that is needed.
        """
        known = self.remembered()
        digests, when = known if known is not None else ({}, 0.0)
        if self.anew or time.time() - when > FRESH or self._absent(digests):
            try:
                digests = self._resolve()
            except StageError:
                # Images that were copied before can be used without the other registry.
                if self.anew or not digests or self._absent(digests):
                    raise
        absent = self._absent(digests)
        if absent:
            raise StageError(
                f"{self.config.source} has no image {absent[0]} with tag {self.tag}",
                details=f"not there: {', '.join(absent)}",
                hint="check images.source and images.tag, or build images: images.mode",
            )
        # Labs with another network backend may have asked for more.
        universe = set(self._universe())
        return {name: found for name, found in digests.items() if name in universe}

    def remembered(self) -> tuple[dict[str, str], float] | None:
        """The digests that were resolved last and the time in Unix seconds, or None."""
        path = self._memory()
        try:
            digests = json.loads(path.read_text(encoding="utf-8"))
            return {str(k): str(v) for k, v in digests.items()}, path.stat().st_mtime
        except (OSError, ValueError, AttributeError):
            return None  # none yet, or damaged: they are resolved again

    def offline(self) -> None:
        """Use the digests that were resolved last, or none, without a network request."""
        if "digests" not in self.__dict__ and not self.recall():
            self.__dict__["digests"] = {}

    def recall(self) -> bool:
        """Use the digests that were resolved last, however old. Returns whether there are any."""
        known = self.remembered()
        if known is None:
            return False
        self.__dict__["digests"] = known[0]
        return True

    def room(self) -> dict[str, int]:
        """The disk space in bytes for the images that the store does not have."""
        present = registry.stored(self.store, self.here(), self.names)
        missing = len(self.names) - len(present)
        return {room.CACHE: room.STORED * missing, room.DOCKER: room.BUILT * len(self.overrides)}

    def create(self, work: Work) -> ImagesMade:
        """Copy the images that the store does not have, then build the overrides on them."""
        client = daemon.connect()
        registry.sweep(client, self.store)
        base_image = debian.ensure(client, self.release.suite, self.mirror, self.cache, work.log)
        image = registry.ensure_image(client, base_image, work.log)
        tag = self.here()
        present = registry.stored(self.store, tag, self.names)
        missing = [name for name in self.names if name not in present]
        copies = [
            Copy(n, self.digests[n], f"{tag}{BELOW}" if n in self.overrides else tag,
                 loaded=n in self.overrides)
            for n in missing
        ]  # fmt: skip
        labels = work.tag.labels()
        source = upstream.reach(self.config.source, self.ca)
        mirror.copy(image, self.store, source, copies, labels, work.log, work.say, work.step)
        built = registry.Copies(sum(each.loaded for each in copies))
        for each in copies:
            if each.loaded:
                name = f"{NAMESPACE}/{each.image}:{tag}"
                work.say(f"{each.image}: built on top")
                folder = self.overrides[each.image]
                mirror.build_on(client, each.reference, folder, name, work.log)
                registry.push(image, self.store, [name], labels, work.log, work.say, built)
        return ImagesMade(
            namespace=NAMESPACE,
            tag=tag,
            images=tuple(registry.stored(self.store, tag, self._universe())),
            registry_root=self.store,
            registry_image=image,
            base_image=base_image,
        )

    def destroy(self, work: Work) -> None:
        """Remove the tag from the store and the overrides from docker."""
        known = self.remembered()
        if known is None:
            return
        tag = self.here()
        client = daemon.connect()
        for each in (tag, f"{tag}{BELOW}"):
            registry.forget(self.store, each)
            for name in self.overrides:
                if registry.exists(client, f"{NAMESPACE}/{name}:{each}"):
                    client.images.remove(f"{NAMESPACE}/{name}:{each}", force=True)
        work.say(f"the images with tag {tag} are removed")

    def here(self) -> str:
        """The tag in the lab's registry."""
        return digest.digest(self.inputs())

    def _resolve(self) -> dict[str, str]:
        source = upstream.reach(self.config.source, self.ca)
        digests = upstream.resolve(source, self._universe(), self.tag)
        files.write(self._memory(), json.dumps(digests, indent=2) + "\n", mode=0o644)
        return digests

    def _absent(self, digests: Iterable[str]) -> list[str]:
        return sorted(set(self.names) - set(digests))

    def _memory(self) -> Path:
        name = digest.digest(self.config.source, self.tag)
        return self.cache / "pulled" / f"{name}.json"

    def _universe(self) -> list[str]:
        return sorted({*stock_images(built_in(self.release.name)), *self.names})


def _override(name: str, folder: Path) -> Path:
    if not (folder / "Dockerfile").is_file():
        raise ConfigError(
            f"images.overrides: there is no Dockerfile for {name} in {folder}",
            hint="make one that begins with: ARG BASE, FROM ${BASE}",
        )
    return folder
