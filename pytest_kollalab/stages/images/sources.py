"""The sources: what pip downloads for the images, checked against the pinned hashes."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from pytest_kollalab.releases.releases import SourceArchive
from pytest_kollalab.system import temporary as leftovers
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.run import run

# What pip says of a file whose hash is not the one that was asked for.
MISMATCH = "THESE PACKAGES DO NOT MATCH THE HASHES"
COLLECTIONS = "ansible_collections"
# The one image that has Ansible in it.
TOOLBOX = "kolla-toolbox"


def download(sources: Sequence[SourceArchive], python: Path, folder: Path, log: Path) -> None:
    """Have every source in the folder, whole and as pinned.

    `python` has pip, and what sources need to tell their own names. Raises StageError when a
    source cannot be had or is not what was pinned.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [source for source in sources if not is_whole(source, folder)]
    for group in batches(missing):
        requirements = folder / "wanted.txt"
        requirements.write_text("".join(map(requirement, group)), encoding="utf-8")
        kind = "--only-binary" if group[0].wheel else "--no-binary"
        argv: list[str | Path] = [python, "-m", "pip", "download", "--quiet", "--no-deps"]
        argv += [kind, ":all:", "--require-hashes", "-r", requirements, "--dest", folder]
        # The tools have what sources are built with; in isolation, it would be downloaded once
        # for each of them.
        argv += ["--no-build-isolation"]
        try:
            run(argv, log_file=log)
        except CommandError as error:
            names = ", ".join(f"{source.project} {source.version}" for source in group)
            if MISMATCH in error.details:
                raise StageError(
                    f"of {names} a file is not what was pinned",
                    details=error.details[error.details.index(MISMATCH) :],
                    hint="the package index gives another file than everybody else has: "
                    "ask who runs it, or use another one",
                    log=log,
                ) from error
            raise StageError(
                f"pip could not download {names}",
                details=error.details,
                hint="is the package index reachable? pip's settings on this host are used for it",
                log=log,
            ) from error
        requirements.unlink()
    for source in missing:
        if not is_whole(source, folder):
            raise StageError(
                f"{source.filename} is not what was pinned",
                details=f"its SHA-256 should be {source.sha256}",
                hint=f"delete {folder / source.filename} and try again",
                log=log,
            )


def needed(sources: Iterable[SourceArchive], images: Iterable[str]) -> list[SourceArchive]:
    """Those of the sources that the images, parents included, are built from."""
    names = set(images)
    return [
        source
        for source in sources
        if (source.wheel and TOOLBOX in names)
        or source.section in names
        or any(source.section.startswith(f"{name}-plugin-") for name in names)
    ]


def is_whole(source: SourceArchive, folder: Path) -> bool:
    """Whether the file is there and has the pinned hash."""
    path = folder / source.filename
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == source.sha256


def requirement(source: SourceArchive) -> str:
    """The source as a line of a requirements file."""
    return f"{source.project}=={source.version} --hash=sha256:{source.sha256}\n"


def batches(sources: Iterable[SourceArchive]) -> list[list[SourceArchive]]:
    """Groups that one call of pip can download: one kind, and each project once."""
    groups: list[list[SourceArchive]] = []
    for source in sources:
        for group in groups:
            same_kind = group[0].wheel == source.wheel
            if same_kind and all(other.project != source.project for other in group):
                group.append(source)
                break
        else:
            groups.append([source])
    return groups


def unpack_collections(sources: Sequence[SourceArchive], folder: Path) -> Path:
    """Take the named Ansible collections out of their wheels; returns the folder with them.

    Without a wheel among the sources, the folder is not made.
    """
    wheels = [source for source in sources if source.wheel]
    name = digest([[source.sha256, *source.collections] for source in wheels])
    target = folder / f"collections-{name}" / "collections"
    if target.is_dir() or not wheels:
        return target
    with leftovers.scratch(folder, "collections") as temporary:
        unpacked = Path(temporary) / "collections"
        for source in wheels:
            with zipfile.ZipFile(folder / source.filename) as wheel:
                members = [m for m in wheel.namelist() if belongs(m, source.collections)]
                wheel.extractall(unpacked, members)
        # Only a whole folder gets the name that is looked for.
        target.parent.mkdir(exist_ok=True)
        shutil.move(unpacked, target)
    return target


def belongs(member: str, collections: Sequence[str]) -> bool:
    """Whether a file of a wheel is part of one of the collections, and of use at run time."""
    parts = PurePosixPath(member).parts
    if len(parts) < 4 or parts[0] != COLLECTIONS or f"{parts[1]}.{parts[2]}" not in collections:
        return False
    return parts[3] not in {"docs", "tests", "changelogs"}
