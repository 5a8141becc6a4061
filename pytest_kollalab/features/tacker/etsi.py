"""ETSI's type definitions for VNF packages, taken from Tacker's source distribution.

They are not ours to publish. Tacker's copies have what its TOSCA parser asks for, and import
nothing from the internet.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path

from pytest_kollalab.features.tacker.feature import HERE
from pytest_kollalab.releases.pypi import of_images
from pytest_kollalab.system import locks, temporary
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.run import run

COMMON, VNFD = "etsi_nfv_sol001_common_types.yaml", "etsi_nfv_sol001_vnfd_types.yaml"
FOLDER = "samples/tests/functional/sol_v2_common/common/Definitions"
REQUIREMENTS = HERE / "images" / "tacker" / "requirements.txt"


def definitions(cache: Path) -> Mapping[str, str]:
    """The type definitions: text by file name.

    The first call downloads Tacker's source distribution (19 MB) with pip and keeps the two files
    in the cache.

    Args:
        cache: The folder for caches.

    Raises:
        StageError: The source distribution cannot be downloaded, or it is not the pinned one.
    """
    pinned = digest(REQUIREMENTS.read_text(encoding="utf-8"))
    folder = cache / "tacker" / f"types-{pinned}"
    with locks.exclusive(folder.with_suffix(".lock"), "take type definitions out of Tacker"):
        if not folder.is_dir():
            with temporary.scratch(cache / "tacker", "types") as place:
                found = take(_download(Path(place)), Path(place) / "types")
                shutil.move(found, folder)
    return {name: (folder / name).read_text(encoding="utf-8") for name in (COMMON, VNFD)}


def take(source: Path, into: Path) -> Path:
    """Take the type definitions out of a source distribution, into a new folder.

    Raises:
        StageError: It does not have them.
    """
    into.mkdir()
    with tarfile.open(source) as packed:
        for name in (COMMON, VNFD):
            path = f"{source.name.removesuffix('.tar.gz')}/{FOLDER}/{name}"
            try:
                file = packed.extractfile(path)
            except KeyError:
                file = None
            if file is None:
                raise StageError(
                    f"{source.name} has no type definitions of ETSI", details=f"there is no {path}"
                )
            (into / name).write_bytes(file.read())
    return into


def _download(folder: Path) -> Path:
    argv: list[str | Path] = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    argv += ["--no-binary", ":all:", "--require-hashes", "-r", REQUIREMENTS, "--dest", folder]
    try:
        run(argv, secrets=of_images().secrets)
    except CommandError as error:
        raise StageError(
            "pip could not download Tacker's source distribution",
            details=error.details,
            hint="is the package index reachable? pip's settings on this host are used for it",
        ) from error
    (found,) = folder.glob("*.tar.gz")
    return found
