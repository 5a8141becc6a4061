"""Downloads the sources of images with pip and checks them against the pinned hashes."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from pytest_kollalab.releases.pypi import of_images
from pytest_kollalab.releases.releases import SourceArchive
from pytest_kollalab.system import temporary as leftovers
from pytest_kollalab.system.digest import digest, sha256_of
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.run import run

# Part of pip's message for a file with a wrong hash.
MISMATCH = "THESE PACKAGES DO NOT MATCH THE HASHES"
COLLECTIONS = "ansible_collections"
# The only image that contains Ansible.
TOOLBOX = "kolla-toolbox"


def download(sources: Sequence[SourceArchive], python: Path, folder: Path, log: Path) -> None:
    """Download all sources that the folder does not have yet.

    Args:
        sources: The sources.
        python: A Python with pip and with the build tools that sources need for their metadata.
        folder: The folder to download to.
        log: The log file.

    Raises:
        StageError: A source cannot be downloaded, or its hash is not the pinned one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    missing = [source for source in sources if not is_whole(source, folder)]
    for group in batches(missing):
        requirements = folder / "wanted.txt"
        requirements.write_text("".join(map(requirement, group)), encoding="utf-8")
        kind = "--only-binary" if group[0].wheel else "--no-binary"
        argv: list[str | Path] = [python, "-m", "pip", "download", "--quiet", "--no-deps"]
        argv += [kind, ":all:", "--require-hashes", "-r", requirements, "--dest", folder]
        # The build tools are installed. With build isolation, pip would download them again for
        # each source.
        argv += ["--no-build-isolation"]
        try:
            run(argv, log_file=log, secrets=of_images().secrets)
        except CommandError as error:
            names = ", ".join(f"{source.project} {source.version}" for source in group)
            if MISMATCH in error.details:
                raise StageError(
                    f"a file of {names} is not the one that was pinned",
                    details=error.details[error.details.index(MISMATCH) :],
                    hint="the package index has a different file under this name: "
                    "ask its administrator, or use another index",
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
    """The sources that these images are built from. `images` must include all parents."""
    names = set(images)
    return [
        source
        for source in sources
        if (source.wheel and TOOLBOX in names)
        or source.section in names
        or any(source.section.startswith(f"{name}-plugin-") for name in names)
    ]


def is_whole(source: SourceArchive, folder: Path) -> bool:
    """Whether the file exists and has the pinned hash."""
    path = folder / source.filename
    if not path.is_file():
        return False
    return sha256_of(path) == source.sha256


def requirement(source: SourceArchive) -> str:
    """The source as a line of a requirements file."""
    return f"{source.project}=={source.version} --hash=sha256:{source.sha256}\n"


def batches(sources: Iterable[SourceArchive]) -> list[list[SourceArchive]]:
    """Group sources for calls of pip: each group has one kind, and each project only once."""
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
    """Extract Ansible collections from their wheels.

    Returns:
        The folder with the collections. It is not created if no source is a wheel.
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
        # Move the folder to its final name only when it is complete.
        target.parent.mkdir(exist_ok=True)
        shutil.move(unpacked, target)
    return target


def belongs(member: str, collections: Sequence[str]) -> bool:
    """Whether a file of a wheel is part of one of the collections and used at run time."""
    parts = PurePosixPath(member).parts
    if len(parts) < 4 or parts[0] != COLLECTIONS or f"{parts[1]}.{parts[2]}" not in collections:
        return False
    return parts[3] not in {"docs", "tests", "changelogs"}
