"""Writes what the docker of each node keeps into an archive; runs in a container, by itself.

    layers_pack.py TO NODES KNOWN

TO is a folder, NODES is JSON: the name of a node -> a folder as its dockerd keeps it below its
`data-root`. KNOWN is JSON: the identities of layers whose files are left out, because they come in
another way. The archive of a node is TO/NODE.tar. Prints nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

from pytest_kollalab.providers.docker.layers_copy import DRIVER, FILES, LayerStore, drivers

# Attributes as well: by one of them a folder hides those below it.
TAR = ("tar", "--create", "--sort=name", "--numeric-owner", "--xattrs", "--xattrs-include=*")
# What dockerd makes anew when it starts.
PASSING = ("./tmp", "./runtimes")


def known_files(store: LayerStore, known: Collection[str]) -> Iterator[str]:
    """The folders with files of known layers, as they are named in the archive."""
    for note in sorted((store.known / "layerdb" / "sha256").iterdir()):
        files = store.layers / (note / "cache-id").read_text() / FILES
        if f"sha256:{note.name}" in known:
            yield f"./{DRIVER}/{files.parent.name}/{FILES}"
        elif files.is_symlink():
            sys.exit(
                f"the layer {note.name} is of no image of the lab, and its files are elsewhere"
            )


def main(argv: list[str]) -> None:
    """Do what the command line says."""
    to, nodes, known = Path(argv[0]), json.loads(argv[1]), set(json.loads(argv[2]))
    jobs = []
    for node, root in nodes.items():
        used = drivers(Path(root))
        if used != {DRIVER}:
            sys.exit(f"the docker of {node} has the storage driver {' '.join(sorted(used))}")
        left_out = to / f"{node}.without"
        names = [*known_files(LayerStore(Path(root)), known), *PASSING]
        left_out.write_text("".join(f"{name}\n" for name in names))
        about = ["--anchored", "--no-wildcards", f"--exclude-from={left_out}"]
        files = ["--file", str(to / f"{node}.tar"), "--directory", root, "."]
        jobs.append(subprocess.Popen([*TAR, *about, *files]))
    codes = [job.wait() for job in jobs]
    if any(codes):
        sys.exit("tar could not archive all of it")


if __name__ == "__main__":
    main(sys.argv[1:])
