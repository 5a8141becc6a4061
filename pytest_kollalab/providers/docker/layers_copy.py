"""Gives one docker's images to another by linking their layers; runs in a container, by itself.

    layers_copy.py keep FROM TO NAMES SEEN DOCKERD    what a node has is in the store as well
    layers_copy.py fill FROM TO NAMES SEEN DOCKERD    what the store has is in a node as well

FROM and TO are folders as dockerd keeps them below its `data-root`, NAMES is JSON: the name of an
image in FROM -> its name in TO. An image that is not in FROM is left out. The daemon of TO must not
run; that of FROM may. SEEN is where the node sees the store. DOCKERD is what `dockerd --version`
says in the node; where that or the storage driver is not known, nothing is done and it says so.

Layers never change once they are there, so a link is as good as a copy and costs no room. The store
outlives the node whose layers it keeps: it has a hard link to each file. No node outlives the store
that it sees: it has one symbolic link for all the files of a layer, which dockerd and the kernel
follow. What docker knows of a layer below (`lower`) is by names that each docker makes up for
itself, so that is written anew. Prints how many images TO has got.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# The versions of docker, and the storage driver, whose folder is known to look like this.
KNOWN = ("26",)
DRIVER = "overlay2"
FILES = "diff"
HALF = ".half"
LOCK = ".lock"


class LayerStore:
    """What a docker daemon with the driver overlay2 keeps below its folder."""

    def __init__(self, root: Path) -> None:
        self.layers = root / DRIVER
        self.known = root / "image" / DRIVER
        self._repositories = self.known / "repositories.json"
        self._read: dict[str, dict[str, str]] | None = None

    @property
    def repositories(self) -> dict[str, dict[str, str]]:
        """The images: repository -> name with tag or digest -> id."""
        if self._read is None:
            self._read = {}
            if self._repositories.exists():
                self._read = json.loads(self._repositories.read_text())["Repositories"]
        return self._read

    def find(self, name: str) -> str:
        """The id of an image, `sha256:` and 64 digits, or an empty text."""
        return self.repositories.get(repository(name), {}).get(name, "")

    def config(self, image: str) -> Path:
        return self.known / "imagedb" / "content" / image.replace(":", "/")

    def layer(self, chain: str) -> Path:
        """What docker notes of a layer."""
        return self.known / "layerdb" / chain.replace(":", "/")

    def files(self, chain: str) -> Path:
        """The files of a layer."""
        return self.layers / (self.layer(chain) / "cache-id").read_text()

    def write(self) -> None:
        half = self._repositories.with_suffix(HALF)
        half.write_text(json.dumps({"Repositories": self.repositories}))
        half.replace(self._repositories)

    def tidy(self) -> None:
        """Remove the incomplete copies that a killed run has left."""
        for folder in (self.layers, self.known / "layerdb" / "sha256"):
            for half in folder.glob(f"*{HALF}"):
                shutil.rmtree(half)


def drivers(root: Path) -> set[str]:
    """The storage drivers that a docker has had images with."""
    return {path.name for path in root.glob("image/*")}


def unfit(dockerd: str, used: set[str]) -> str | None:
    """Why layers cannot be linked with such a docker and such drivers; None when they can."""
    found = re.search(r"\bversion (\d+)\.", dockerd)
    if found is None or found[1] not in KNOWN:
        return f"docker {' or '.join(KNOWN)} is known, and this is: {dockerd or 'none'}"
    if others := used - {DRIVER}:
        return f"the storage driver {DRIVER} is known, and this is {' and '.join(sorted(others))}"
    return None


def give(source: LayerStore, target: LayerStore, names: Mapping[str, str], seen: str = "") -> int:
    """Have images of one docker in the other; how many have come.

    With `seen`, where the target sees the source, the files of a layer stay where they are.
    """
    come = 0
    for name, new in names.items():
        image = source.find(name)
        if not image or target.find(new) == image:
            continue
        config = source.config(image)
        diffs = json.loads(config.read_text())["rootfs"].get("diff_ids", [])
        lacking = [chain for chain in chains(diffs) if not target.layer(chain).exists()]
        if any((source.files(chain) / FILES).is_symlink() for chain in lacking):
            # The node has it from another store, which the target does not see.
            continue
        below = ""
        for diff, chain in zip(diffs, chains(diffs), strict=True):
            if not target.layer(chain).exists():
                link(source, target, chain, below, seen)
            origin(source, target, diff)
            below = chain
        copy(config, target.config(image))
        named = target.repositories.setdefault(repository(new), {})
        for known, of in source.repositories[repository(name)].items():
            digest = known.partition("@")[2]
            if digest and of == image:
                named[f"{repository(new)}@{digest}"] = image
        named[new] = image
        come += 1
    if come:
        target.write()
    return come


def link(
    source: LayerStore,
    target: LayerStore,
    chain: str,
    below: str,
    seen: str,
    given: Path | None = None,
) -> None:
    """Have a layer in the other docker, whose layer below is there already.

    With `given`, its files are those of that folder, which is moved there.
    """
    files = source.files(chain)
    there = target.layers / files.name
    half = there.with_name(there.name + HALF)
    target.layers.mkdir(mode=0o710, parents=True, exist_ok=True)
    (target.layers / "l").mkdir(mode=0o700, exist_ok=True)
    if not there.exists():
        where = f"{seen}/{source.layers.name}/{files.name}/{FILES}"
        link_all(files, half, {FILES: where} if seen else {})
        if given is not None:
            given.rename(half / FILES)
        lower = half / "lower"
        lower.unlink(missing_ok=True)
        if below:
            under = target.files(below)
            more = under / "lower"
            words = [f"l/{(under / 'link').read_text()}"]
            words += [more.read_text()] if more.exists() else []
            lower.write_text(":".join(words))
        half.rename(there)
    short = target.layers / "l" / (there / "link").read_text()
    if not short.is_symlink():
        short.symlink_to(f"../{there.name}/{FILES}")
    # Last: it is what docker finds the layer by.
    note = target.layer(chain)
    half = note.with_name(note.name + HALF)
    note.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(source.layer(chain), half)
    half.rename(note)


def link_all(source: Path, target: Path, elsewhere: Mapping[str, str]) -> None:
    """Have a folder with all that is in it: folders made anew, all else linked.

    `elsewhere` names what is there by a symbolic link, and where that leads to.
    """
    target.mkdir()
    with os.scandir(source) as entries:
        for entry in entries:
            to = target / entry.name
            if entry.name in elsewhere:
                to.symlink_to(elsewhere[entry.name])
            elif entry.is_dir(follow_symlinks=False):
                link_all(Path(entry.path), to, {})
            else:
                os.link(entry.path, to, follow_symlinks=False)
    about = source.stat()
    os.chown(target, about.st_uid, about.st_gid)
    # Attributes as well: by one of them a folder hides those below it.
    shutil.copystat(source, target)


def origin(source: LayerStore, target: LayerStore, diff: str) -> None:
    """Have docker know by which digest a registry knows a layer, lest it is fetched again."""
    known = source.known / "distribution" / "v2metadata-by-diffid" / diff.replace(":", "/")
    if not known.exists():
        return
    copy(known, target.known / known.relative_to(source.known))
    for each in json.loads(known.read_text()):
        by_digest = f"distribution/diffid-by-digest/{each['Digest'].replace(':', '/')}"
        if (source.known / by_digest).exists():
            copy(source.known / by_digest, target.known / by_digest)


def copy(file: Path, to: Path) -> None:
    """Have a file there, whole or not at all."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if not to.exists():
        half = to.with_name(to.name + HALF)
        shutil.copy2(file, half)
        half.rename(to)


def chains(diffs: list[str]) -> Iterator[str]:
    """The id of each layer with all below it (OCI image specification, "Layer ChainID")."""
    chain = ""
    for diff in diffs:
        both = f"{chain} {diff}".encode()
        chain = f"sha256:{hashlib.sha256(both).hexdigest()}" if chain else diff
        yield chain


def repository(name: str) -> str:
    """The name of an image without its tag."""
    return name.rpartition(":")[0]


def main(argv: list[str]) -> None:
    """Do what the command line says."""
    verb, source, target, names, seen, dockerd = argv
    used = drivers(Path(source)) | drivers(Path(target))
    if verb == "keep" and not drivers(Path(source)):
        used.add("an image store of containerd's")
    why = unfit(dockerd, used)
    if why is not None:
        sys.exit(why)
    wanted: dict[str, Any] = json.loads(names)
    shared = Path(source if verb == "fill" else target)
    with (shared / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH if verb == "fill" else fcntl.LOCK_EX)
        if verb == "keep":
            LayerStore(shared).tidy()
        os.umask(0o077)
        seen = seen if verb == "fill" else ""
        come = give(LayerStore(Path(source)), LayerStore(Path(target)), wanted, seen)
    sys.stdout.write(f"{come}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
