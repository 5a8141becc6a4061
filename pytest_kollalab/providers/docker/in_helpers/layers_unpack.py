"""Makes docker's folders of nodes from archives; runs in a container, by itself.

    layers_unpack.py STORE SEEN PLAN

STORE is the folder of the store of layers, SEEN where nodes see it. PLAN is the path of a file with
JSON: `nodes`, the folder of each node -> its archive; `layers`, pairs of the identity of a layer
with all below it and its archive, a lower one before a higher one; `names`, the name of an image in
a node -> its name in the store.

The archive of a node lacks the files of layers, which become links into the store. What the store
lacks of them is unpacked there. An archive is a tar file that may be compressed, as the end of its
name says. Prints how many layers the store has got.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pytest_kollalab.providers.docker.layers_copy import (
    DRIVER,
    FILES,
    HALF,
    LOCK,
    LayerStore,
    drivers,
    give,
    link,
)

# Debian's own program that reads whatever compression apt knows, zstd among them.
READ = ("/usr/lib/apt/apt-helper", "cat-file")
TAR = "tar --extract --numeric-owner --preserve-permissions --same-owner --xattrs".split()
ALL_ATTRIBUTES = "--xattrs-include=*"
# What is not there any more, and what hides all below (OCI image specification, "Whiteouts").
GONE, OPAQUE, OTHER = ".wh.", ".wh..wh..opq", ".wh..wh."
HIDES = "trusted.overlay.opaque"


def extract(archive: str, into: Path) -> None:
    """Unpack an archive into a folder, which is made."""
    into.mkdir(parents=True, exist_ok=True)
    with subprocess.Popen([*READ, archive], stdout=subprocess.PIPE) as reading:
        code = subprocess.call(
            [*TAR, ALL_ATTRIBUTES, "--directory", str(into)], stdin=reading.stdout
        )
    if code or reading.returncode:
        sys.exit(f"{archive} could not be unpacked")


def hide(layer: Path) -> None:
    """Say as overlay2 does what a layer hides of those below it, instead of as an image does."""
    for folder, _, names in os.walk(layer):
        marks = [name for name in names if name.startswith(GONE)]
        if not marks:
            continue
        about = Path(folder).stat()
        for name in marks:
            path = Path(folder, name)
            path.unlink()
            if name == OPAQUE:
                os.setxattr(folder, HIDES, b"y")
            elif not name.startswith(OTHER):
                there = Path(folder, name.removeprefix(GONE))
                os.mknod(there, stat.S_IFCHR, os.makedev(0, 0))
        os.utime(folder, ns=(about.st_atime_ns, about.st_mtime_ns))


def layer_files(node: LayerStore) -> dict[str, Path]:
    """Where the files of each layer of a node's images are, by the layer's identity."""
    notes = node.known / "layerdb" / "sha256"
    return {f"sha256:{n.name}": node.layers / (n / "cache-id").read_text() for n in notes.iterdir()}


def fill_store(store: LayerStore, nodes: list[LayerStore], layers: list[tuple[str, str]]) -> int:
    """Have the layers of nodes in the store; how many have come."""
    has = [layer_files(node) for node in nodes]
    lacking = [
        (chain, archive, next(i for i, files in enumerate(has) if chain in files))
        for chain, archive in layers
        if any(chain in files for files in has) and not store.layer(chain).exists()
    ]
    store.layers.mkdir(mode=0o710, parents=True, exist_ok=True)
    laid: dict[str, Path] = {}

    def unpack(each: tuple[str, str, int]) -> None:
        chain, archive, _ = each
        # The end of its name: what a killed run leaves is removed by the next.
        folder = store.layers / f"{chain.partition(':')[2]}{HALF}"
        extract(archive, folder)
        hide(folder)
        laid[chain] = folder

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        # The largest first: the end is then short.
        ordered = sorted(lacking, key=lambda each: -Path(each[1]).stat().st_size)
        list(pool.map(unpack, ordered))
    for chain, _, number in lacking:
        node = nodes[number]
        parent = node.layer(chain) / "parent"
        below = parent.read_text() if parent.exists() else ""
        link(node, store, chain, below, "", laid[chain])
    return len(lacking)


def point_at(node: LayerStore, store: LayerStore, seen: str) -> None:
    """Have the layers of a node lead into the store."""
    for chain, folder in layer_files(node).items():
        files = folder / FILES
        if os.path.lexists(files):
            continue
        if not store.layer(chain).exists():
            sys.exit(f"the layer {chain} did not come with the images")
        files.symlink_to(f"{seen}/{DRIVER}/{store.files(chain).name}/{FILES}")


def named(archive: str, folder: Path, number: int) -> str:
    """A path by which the reader knows how an archive is compressed."""
    path, _, kind = archive.rpartition("#")
    link = folder / f"{number}{kind}"
    link.symlink_to(path)
    return str(link)


def main(argv: list[str]) -> None:
    """Do what the command line says."""
    store_root, seen, path = argv
    plan = json.loads(Path(path).read_text())
    folder = Path(tempfile.mkdtemp())
    os.umask(0o077)
    archives = [*plan["nodes"].values(), *(archive for _, archive in plan["layers"])]
    links = {
        each: named(each, folder, number) for number, each in enumerate(dict.fromkeys(archives))
    }
    roots = [Path(root) for root in plan["nodes"]]
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(extract, (links[each] for each in plan["nodes"].values()), roots))
    for root in roots:
        if (used := drivers(root)) != {DRIVER}:
            sys.exit(f"the docker of {root.name} has the storage driver {' '.join(sorted(used))}")
    nodes = [LayerStore(root) for root in roots]
    with (Path(store_root) / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        store = LayerStore(Path(store_root))
        store.tidy()
        layers = [(chain, links[archive]) for chain, archive in plan["layers"]]
        come = fill_store(store, nodes, layers)
        for node in nodes:
            point_at(node, store, seen)
            give(node, LayerStore(Path(store_root)), plan["names"])
    sys.stdout.write(f"{come}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
