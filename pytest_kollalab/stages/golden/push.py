"""The push: a lab's golden state goes to a place, for labs on other hosts to start from."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab import __version__
from pytest_kollalab.engine import leftovers
from pytest_kollalab.engine.records import Record
from pytest_kollalab.features import image_folders
from pytest_kollalab.providers.base import Carrying, Images, NodesMade, PackedImage
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.golden import artifact, records, signature, store, transfer
from pytest_kollalab.stages.golden.artifact import Blob, Golden, LoadedImage
from pytest_kollalab.stages.golden.place import Place
from pytest_kollalab.stages.golden.place_at import place_at
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.states.saves import CLOUD, GOLDEN, Save
from pytest_kollalab.system import temporary
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import HostError, StageError
from pytest_kollalab.system.run import run

if TYPE_CHECKING:
    from pytest_kollalab.settings.config import Options
    from pytest_kollalab.stages.cloud.wanted import WantedCloud
    from pytest_kollalab.stages.states.rollback import Rewind

# More would cost more time than it saves: most of the bytes are Kolla's layers, which are as they
# are in the store.
LEVEL = "-3"


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        key: The key of the golden state.
        sent: The bytes that were sent; 0 if the state was there.
        shared: The bytes that were there.
        seconds: How long it took.
    """

    key: str
    sent: int
    shared: int
    seconds: float


class Push:
    """Pushes the golden state of a lab.

    Args:
        rewind: Knows the saved states of the lab.
        cloud: The cloud of the lab.
        options: Where to push, and how to sign.
    """

    def __init__(self, rewind: Rewind, cloud: WantedCloud, options: Options) -> None:
        self.rewind = rewind
        self.engine = rewind.engine
        self.cloud = cloud
        self.options = options
        self.cache = rewind.engine.paths.cache

    def run(self, *, replace: bool = False) -> Pushed:
        """Push the golden state, unless the place has one of its key.

        Args:
            replace: Push it even then.

        Raises:
            StageError: The lab has no golden state, it cannot travel, or the place does not take
                it.
            HostError: The provider cannot pack saved states.
            ConfigError: No place is configured.
        """
        started = time.monotonic()
        carrying = self._carrying()
        place = place_at(self.options.golden_registry, self.options.registry_ca)
        signature.check_key(self.options.golden_key)
        leftovers.remove(self.engine.paths, self.engine.say)
        try:
            with temporary.scratch(self.cache, "push") as scratch:
                # Whoever removes the state waits until it is packed.
                with self.engine.locked("pack the golden state"):
                    save, record = self._golden()
                    key = self.engine.new_key(CLOUD)
                    if not replace and place.manifest(key) is not None:
                        return self._told(place, Pushed(key, 0, 0, 0.0))
                    golden, files = self._pack(save, record, carrying, Path(scratch))
                manifest, config = artifact.make(golden, files)
                path = Path(scratch) / "config.json"
                path.write_bytes(config)
                files[manifest.config] = path
                sent, shared = transfer.upload(place, files, self.engine.say)
                point("push:uploaded")
                signature.sign(place, golden.key, manifest, self.options.golden_key, Path(scratch))
                place.tag(golden.key, manifest.text())
                point("push:tagged")
        finally:
            place.close()
        seconds = time.monotonic() - started
        return self._told(place, Pushed(golden.key, sent, shared, seconds))

    def _carrying(self) -> Carrying:
        carrying = self.rewind.provider.carrying
        if carrying is None:
            raise HostError(
                f"golden states of the provider {self.rewind.provider.name} cannot be pushed",
                details="only nodes that are containers of this host's docker can",
            )
        return carrying

    def _golden(self) -> tuple[Save, Record]:
        record, lab = self.engine.record(CLOUD), self.engine.lab
        made = self.engine.made(CloudMade)
        if record is None or made is None:
            raise StageError(
                f"lab {lab} has no cloud to push", hint=f"kollalab up --name {lab} deploys one"
            )
        if made.upgraded_from:
            raise StageError(
                f"the golden state of lab {lab} is not pushed",
                details=f"its cloud was upgraded from {made.upgraded_from}; others would deploy it",
            )
        if made.replayed:
            raise StageError(
                f"the golden state of lab {lab} is not pushed",
                details=f"the playbooks of {' '.join(made.replayed)} were replayed on its cloud; "
                "others would deploy it",
            )
        golden = [s for s, whole in self.rewind.whole().items() if s.name == GOLDEN and whole]
        if not golden or golden[-1].cloud != record.run:
            raise StageError(
                f"lab {lab} has no golden state of its cloud",
                details='it is saved right after a deploy, and not at all with golden = "none"',
                hint=f"kollalab up --name {lab} --fresh cloud deploys and saves it",
            )
        return golden[-1], record

    def _pack(
        self, save: Save, record: Record, carrying: Carrying, folder: Path
    ) -> tuple[Golden, dict[Blob, Path]]:
        engine = self.engine
        images, nodes = engine.made(ImagesMade), engine.made(NodesMade)
        images_key = record.needs.get("images", "")
        if images is None or nodes is None or engine.key("images") != images_key:
            raise StageError(
                f"the golden state of lab {engine.lab} is not pushed",
                details="its images are of another configuration than this one",
                hint="push with the configuration that the lab was deployed with",
            )
        wanted = self.cloud.images(images, list(nodes.nodes))
        # Those that a folder of images has are expected together, whether a node runs them or not.
        added = image_folders.tags(self.cloud.folders, images.tag)
        also = [f"{images.namespace}/{name}:{tag}" for name, tag in added.items()]
        stored = store.find(images.registry_root, _references(wanted, also))
        shared = [*self.rewind.provider.uses(self.cloud.config.nodes).images, images.registry_image]
        engine.say("golden state: packing")
        packed = carrying.pack(engine.lab, save.label, stored.chains, shared, folder)
        records.pack(
            self.rewind.saves.folder / save.label, engine.paths.state, folder / "files.tar"
        )
        pressed = _Pressed(folder)
        loaded = {name: pressed.image(image) for name, image in packed.images.items()}
        roots = {name: pressed.image(image) for name, image in packed.roots.items()}
        disks = {node: pressed.blob(path).digest for node, path in packed.disks.items()}
        golden = Golden(
            key=engine.new_key(CLOUD),
            images_key=images_key,
            version=__version__,
            made=save.made,
            lab=engine.lab,
            provider=self.rewind.provider.name,
            driver=carrying.driver,
            architecture=architecture(),
            release=str(record.inputs.get("release", "")),
            features=tuple(record.inputs.get("features", ())),
            tag=images.tag,
            registry_image=images.registry_image,
            base_image=images.base_image,
            store=stored.images,
            loaded=loaded,
            roots=roots,
            disks=disks,
            nodes=records.nodes(nodes),
            files=pressed.blob(folder / "files.tar").digest,
            unpacked=pressed.sizes,
        )
        point("push:pressed")
        return golden, {**stored.files, **pressed.files}

    def _told(self, place: Place, pushed: Pushed) -> Pushed:
        if not pushed.seconds:
            self.engine.say(f"golden state: {place} has {pushed.key} already")
        else:
            sent, shared = pushed.sent / transfer.MIB, pushed.shared / transfer.MIB
            self.engine.say(
                f"golden state: {pushed.key} pushed to {place} in {pushed.seconds:.0f} s "
                f"({sent:.0f} MiB sent, {shared:.0f} MiB were there)"
            )
        return pushed


class _Pressed:
    """Compresses files into blobs, each once."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[Blob, Path] = {}
        self.sizes: dict[str, int] = {}
        self._folder = folder / "pressed"
        self._folder.mkdir()
        self._known: dict[Path, Blob] = {}

    def blob(self, path: Path) -> Blob:
        """Compress a file on all processors."""
        if path not in self._known:
            target = self._folder / f"{len(self._known)}.zst"
            size = path.stat().st_size
            run(["zstd", LEVEL, "-T0", "-q", path, "-o", target])
            path.unlink()
            blob = Blob(artifact.digest_of_file(target), target.stat().st_size)
            self._known[path] = blob
            self.files[blob] = target
            self.sizes[blob.digest] = size
        return self._known[path]

    def image(self, image: PackedImage) -> LoadedImage:
        """Compress the layers of an image."""
        return LoadedImage(image.config, tuple(self.blob(path).digest for path in image.layers))


def is_wanted(options: Options) -> bool:
    """Whether the golden state of a deploy is pushed."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return options.push == "always" or (options.push == "ci" and in_ci)


def architecture() -> str:
    """The architecture of this host, such as `x86_64`."""
    return platform.machine()


def _references(images: Images, also: Sequence[str]) -> Sequence[str]:
    return sorted({*also, *(each for names in images.by_node.values() for each in names)})
