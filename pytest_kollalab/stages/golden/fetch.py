"""The fetch: a lab starts from the golden state of its key that a place has."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from pytest_kollalab import __version__
from pytest_kollalab.engine.engine import BUILD, FETCH, Step
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.base import Arrived, Images, Packed, PackedImage
from pytest_kollalab.stages import room
from pytest_kollalab.stages.golden import artifact, records, signature, store, transfer
from pytest_kollalab.stages.golden.artifact import Blob, Golden, LoadedImage, Manifest
from pytest_kollalab.stages.golden.cached import LOCK, cached, used
from pytest_kollalab.stages.golden.place import Place
from pytest_kollalab.stages.golden.place_at import place_at
from pytest_kollalab.stages.golden.push import architecture
from pytest_kollalab.stages.images import NAMESPACE
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.room import Need
from pytest_kollalab.stages.states.saves import CLOUD, OWN
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.system import locks, temporary
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import HostError, KollalabError, StageError, as_message
from pytest_kollalab.system.run import run

if TYPE_CHECKING:
    from pytest_kollalab.settings.config import Options
    from pytest_kollalab.stages.states.rollback import Rewind

# What the run gives up when a fetch has failed, followed by the key.
GIVEN_UP = "golden-"
FETCHED = "fetched"


@dataclass(frozen=True)
class Found:
    """A golden state in a place.

    Attributes:
        place: The place.
        text: The bytes of its manifest.
        manifest: The manifest.
        golden: What it is.
        missing: The bytes that are not on this host yet.
    """

    place: Place
    text: bytes
    manifest: Manifest
    golden: Golden
    missing: int

    def __str__(self) -> str:
        return f"golden state of {self.golden.made} from {self.place}"


class Fetch:
    """Starts a lab from a golden state that another host made.

    Args:
        rewind: The lab and its saved states.
        options: Where to look, and whose signatures count.
        wanted: Whether the lab may be started from one.
    """

    def __init__(self, rewind: Rewind, options: Options, *, wanted: bool) -> None:
        self.rewind = rewind
        self.engine = rewind.engine
        self.options = options
        self.wanted = wanted and rewind.provider.carrying is not None
        self.cache = rewind.engine.paths.cache
        self._asked: dict[str, Found | None] = {}
        self._brings: Found | None = None

    def plan(self, steps: Sequence[Step]) -> list[Step]:
        """Return the steps with `fetch` for the stages that a golden state replaces."""
        found = self.found(steps)
        if found is None:
            return list(steps)
        size = f", {found.missing / transfer.MIB:.0f} MiB" if found.missing else ", all of it here"
        told = {"images": f"from {found.place}", "nodes": str(found), "cloud": str(found)}
        first = next(s.stage for s in steps if s.stage in told and s.action == BUILD)
        return [
            replace(step, action=FETCH, reason=f"{told[step.stage]}{size * (step.stage == first)}")
            if step.stage in told and step.action == BUILD
            else step
            for step in steps
        ]

    def found(self, steps: Sequence[Step]) -> Found | None:
        """The golden state that serves the steps, or None.

        A state that is there and cannot be used is told once, with the reason.
        """
        if not self.wanted or not self._of_use(steps):
            return None
        by_stage = {step.stage: step for step in steps}
        key = by_stage[CLOUD].key
        if self.engine.session.has_given_up(f"{GIVEN_UP}{key}"):
            return None
        if key not in self._asked:
            self._asked[key] = None
            try:
                self._asked[key] = self._look(key, by_stage["images"].key)
            except KollalabError as error:
                self._refuse(key, error)
        return self._asked[key]

    def pull(self, key: str, images_key: str) -> Found | None:
        """Have all of a golden state on this host; returns None if there is none.

        Args:
            key: The key of the cloud.
            images_key: The key of its images.

        Raises:
            KollalabError: It cannot be used here, or not be had.
        """
        found = self._look(key, images_key)
        if found is not None:
            self._download(found)
        return found

    def bring_images(self, steps: Sequence[Step]) -> None:
        """Have the images of the golden state that serves the steps, if they are to be fetched."""
        found = self.found(steps)
        if found is None or not any(s.stage == "images" and s.action == BUILD for s in steps):
            return
        with self._trying(found), self.engine.building_shared("images"):
            self._have_images(found)

    def revive(self, steps: Sequence[Step]) -> None:
        """Bring up the lab from the golden state that serves the steps.

        If it does not become healthy, the lab is removed, and built as usual.
        """
        found = self.found(steps)
        if found is None:
            return
        engine = self.engine
        with engine.locked("start from a golden state"):
            # Another process may have done it while this one waited.
            if self.found(engine.plan()) is None:
                return
            started = time.monotonic()
            with self._trying(found), engine.attempt():
                with engine.building_shared("images"):
                    self._have_images(found)
                self._brings = found
                try:
                    engine.ensure(CLOUD)
                except BaseException:
                    self._brings = None
                    engine.destroy()
                    raise
                finally:
                    self._brings = None
                used(self.cache, found.golden.key)
                seconds = time.monotonic() - started
                engine.say(f"cloud: from a fetched golden state in {seconds:.0f} s")

    def source(self) -> CloneSource | None:
        """What the nodes are cloned from while a golden state is brought; else None."""
        found = self._brings
        if found is None:
            return None
        golden, lab = found.golden, self.engine.lab
        label = f"{FETCHED}.{golden.key[:6]}"
        # Below the folder of the stage that asks, with which it goes.
        folder = self.engine.paths.lab(lab) / "nodes" / FETCHED
        shutil.rmtree(folder, ignore_errors=True)
        with temporary.scratch(self.cache, FETCH) as scratch:
            archive = Path(scratch) / "files.tar"
            run(["zstd", "-d", "-q", "-f", self._file(golden.files), "-o", archive])
            records.unpack(archive, folder)
        return CloneSource(
            lab=lab,
            label=label,
            made=records.read_nodes(golden.nodes),
            folder=folder,
            features=self.rewind.resolve(golden.features),
            held=nullcontext,
            former=golden.lab,
            bring=partial(self._bring, found, label),
            drop=partial(self._drop, label, folder),
        )

    def _of_use(self, steps: Sequence[Step]) -> bool:
        """Whether the lab is built for the most part, and nothing of it is lost by that."""
        building = {step.stage for step in steps if step.action == BUILD}
        asked_for = {*OWN, "images"} & set(self.engine.fresh)
        if not building >= set(OWN) or asked_for or not any(s.stage == CLOUD for s in steps):
            return False
        return all(
            record is None or record.status != "ready"
            for record in (self.engine.record(name, whole=False) for name in OWN)
        )

    def _look(self, key: str, images_key: str) -> Found | None:
        here = cached(self.cache)
        signers = self.options.golden_signers
        if not signers or signature.is_there(here, key):
            found = self._look_at(here, key, images_key)
            # What was put elsewhere, or loaded, may not be there any more.
            if found is not None and not found.missing:
                return found
        if not self.options.golden_registry:
            return None
        place = place_at(self.options.golden_registry, self.options.registry_ca)
        try:
            return self._look_at(place, key, images_key)
        finally:
            place.close()

    def _look_at(self, place: Place, key: str, images_key: str) -> Found | None:
        text = place.manifest(key)
        if text is None:
            return None
        where = f"the golden state {key} in {place}"
        signature.check(place, key, text, self.options.golden_signers)
        manifest = artifact.read_manifest(text, where)
        golden = artifact.read_golden(self._config(place, manifest.config), where)
        check(golden, manifest, key, images_key, self._driver(), where)
        missing = sum(blob.size for blob in self._missing(golden, manifest))
        found = Found(place, text, manifest, golden, missing)
        self._check_room(found)
        return found

    def _driver(self) -> str:
        carrying = self.rewind.provider.carrying
        assert carrying is not None, "nothing is looked for without"
        return carrying.driver

    def _config(self, place: Place, blob: Blob) -> bytes:
        """The text of a configuration, which is small and read before anything else."""
        # A plan makes nothing, a folder in the cache neither.
        with TemporaryDirectory() as folder:
            path = Path(folder) / "config"
            place.get(blob, path, lambda _: None)
            if artifact.digest_of_file(path) != blob.digest:
                raise StageError(f"the description of a golden state in {place} is damaged")
            return path.read_bytes()

    def _missing(self, golden: Golden, manifest: Manifest) -> Iterator[Blob]:
        """What has to be fetched: not what the store has, nor of images that docker has."""
        carrying = self.rewind.provider.carrying
        assert carrying is not None
        there = set(golden.loaded) - set(carrying.lacking(golden.loaded))
        needed = {layer for name in golden.loaded if name not in there
                  for layer in golden.loaded[name].layers}  # fmt: skip
        own = {layer for image in golden.roots.values() for layer in image.layers}
        spare = {layer for name in there for layer in golden.loaded[name].layers}
        unneeded = spare - needed - own
        blobs = [blob for blob in manifest.blobs if blob.digest not in unneeded]
        return store.missing(self.cache / "registry", cached(self.cache), blobs)

    def _check_room(self, found: Found) -> None:
        golden = found.golden
        missing = {blob.digest: blob.size for blob in self._missing(golden, found.manifest)}
        # Of each lab anew.
        own = {*golden.disks.values(), *(d for root in golden.roots.values() for d in root.layers)}
        there = sum(missing.values())
        sizes = {digest: room.PACKED * size for digest, size in missing.items()} | {
            digest: golden.unpacked.get(digest, 0) for digest in {*missing, *own}
            if digest in golden.unpacked
        }  # fmt: skip
        unpacked = sum(sizes.values())
        root = room.data_root()
        folders = {room.CACHE: self.cache} | ({room.DOCKER: root} if root else {})
        needs = [Need(FETCH, room.CACHE, there), Need(FETCH, room.DOCKER, unpacked)]
        room.check(needs, folders)

    @contextmanager
    def _trying(self, found: Found) -> Iterator[None]:
        """A block after whose failure the run goes on without the golden state."""
        try:
            yield
        except Exception as error:
            told = as_message(error)
            if not isinstance(told, KollalabError):
                raise
            self._refuse(found.golden.key, told)

    def _refuse(self, key: str, error: KollalabError) -> None:
        self._asked[key] = None
        self.engine.session.give_up(f"{GIVEN_UP}{key}")
        details = f": {error.details}" if error.details else ""
        self.engine.say(f"no golden state is fetched: {error.brief}{details}")

    def _download(self, found: Found) -> None:
        cache = cached(self.cache)
        with locks.exclusive(self.cache / LOCK, f"fetch the golden state {found.golden.key}"):
            missing = list(self._missing(found.golden, found.manifest))
            if missing:
                size = sum(blob.size for blob in missing) / transfer.MIB
                self.engine.say(f"golden state: fetching {size:.0f} MiB from {found.place}")
                started = time.monotonic()
                transfer.download(found.place, missing, cache, self.engine.say)
                seconds = time.monotonic() - started
                self.engine.say(f"golden state: fetched in {seconds:.0f} s")
            point("fetch:downloaded")
            if self.options.golden_signers:
                signature.copy(found.place, found.golden.key, cache, self.cache)
            # From now on it is here, and nobody is asked for it.
            cache.tag(found.golden.key, found.text)
            found.place.close()

    def _have_images(self, found: Found) -> None:
        golden = found.golden
        carrying = self.rewind.provider.carrying
        assert carrying is not None
        self._download(found)
        lacking = carrying.lacking(golden.loaded)
        with temporary.scratch(self.cache, FETCH) as scratch:
            images = {name: self._packed(golden.loaded[name]) for name in lacking}
            carrying.load(images, Path(scratch))
        point("fetch:images-loaded")
        if self.engine.made(ImagesMade) is not None and not self._images_lack():
            return
        root = self.cache / "registry"
        helper = next(name for name in golden.loaded if name != golden.registry_image)
        tag = self.engine.tag("images")
        labels = [f"{name}={value}" for name, value in tag.labels().items()]
        store.lay(self.cache, cached(self.cache), golden.store, helper, labels)
        point("fetch:images-stored")
        made = ImagesMade(
            namespace=NAMESPACE,
            tag=golden.tag,
            images=tuple(_names(golden)),
            registry_root=root,
            registry_image=golden.registry_image,
            base_image=golden.base_image,
        )
        self.engine.take_over("images", made)
        point("fetch:images-recorded")

    def _images_lack(self) -> bool:
        return any(s.stage == "images" and s.action == BUILD for s in self.engine.plan("images"))

    def _bring(self, found: Found, label: str, tag: Tag) -> None:
        carrying = self.rewind.provider.carrying
        assert carrying is not None
        golden = found.golden
        stored = self._stored(golden)
        layers: dict[str, Path] = {}
        for image in golden.store.values():
            config = stored[image.config]
            about = artifact.json_of(config)
            chains = store.chains_of(about, image.layers)
            layers |= {chain: stored[digest] for chain, digest in chains.items()}
        names = sorted(golden.store)
        packed = Packed(
            disks={node: self._file(digest) for node, digest in golden.disks.items()},
            roots={node: self._packed(image) for node, image in golden.roots.items()},
            images={name: PackedImage({}, ()) for name in golden.loaded},
        )
        made = records.read_nodes(golden.nodes)
        arrived = Arrived(
            root=self.cache,
            lab=golden.lab,
            packed=packed,
            layers=layers,
            images=Images(golden.tag, dict.fromkeys(golden.disks, names)),
            registry=made.registry,
        )
        with temporary.scratch(self.cache, FETCH) as scratch:
            carrying.unpack(tag, label, arrived, Path(scratch))

    def _drop(self, label: str, folder: Path) -> None:
        """Remove what the nodes were made from: they have all of it."""
        self.rewind.saves.saving().clear(self.engine.lab, label)
        shutil.rmtree(folder, ignore_errors=True)
        point("fetch:dropped")

    def _stored(self, golden: Golden) -> dict[str, Path]:
        from pytest_kollalab.stages.images.store import blob

        digests: set[str] = set()
        for image in golden.store.values():
            digests |= {image.config, *image.layers}
        return {digest: blob(self.cache / "registry", digest) for digest in digests}

    def _packed(self, image: LoadedImage) -> PackedImage:
        return PackedImage(image.config, tuple(self._file(each) for each in image.layers))

    def _file(self, digest: str) -> Path:
        return cached(self.cache).path(digest)


def check(
    golden: Golden, manifest: Manifest, key: str, images_key: str, driver: str, where: str
) -> None:
    """Check that a golden state can be used here.

    Args:
        golden: The golden state.
        manifest: Its manifest.
        key: The key that it has to have.
        images_key: The key that its images have to have.
        driver: The storage driver of nodes here.
        where: Where it is from, for the message.

    Raises:
        HostError: It is of another version, architecture or storage driver.
        StageError: It is not what its key says, or not whole.
    """
    for what, theirs, ours in (
        ("pytest-kollalab", golden.version, __version__),
        ("the architecture", golden.architecture, architecture()),
        ("the storage driver", golden.driver, driver),
    ):
        if theirs != ours:
            raise HostError(
                f"{where} was made with {what} {theirs}", details=f"here it would be {ours}"
            )
    if (golden.key, golden.images_key) != (key, images_key):
        raise StageError(
            f"{where} is another one",
            details=f"its keys are {golden.key} and {golden.images_key}, "
            f"and not {key} and {images_key}",
        )
    listed = {blob.digest for blob in manifest.blobs}
    absent = sorted(set(_digests(golden)) - listed)
    if absent:
        raise StageError(f"{where} is not whole", details=f"its manifest lacks {absent[0]}")


def _digests(golden: Golden) -> Iterator[str]:
    yield golden.files
    yield from golden.disks.values()
    for stored in golden.store.values():
        yield from (stored.manifest, stored.config, *stored.layers)
    for loaded in (*golden.loaded.values(), *golden.roots.values()):
        yield from loaded.layers


def _names(golden: Golden) -> Iterable[str]:
    """The names of the images that have the tag of all Kolla images."""
    for reference in sorted(golden.store):
        repository, _, tag = reference.rpartition(":")
        if tag == golden.tag:
            yield repository.rpartition("/")[2]
