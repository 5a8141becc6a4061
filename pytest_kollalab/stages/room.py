"""The disk space that builds need, and whether the host has it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_kollalab.engine.stage import Stage
from pytest_kollalab.system import daemon, files
from pytest_kollalab.system.errors import HostError

GIB = 2**30
DOCKER, CACHE = "docker", "cache"
# Bytes per image in docker, compressed in the store, and unpacked on a node. Measured on the images
# of release 2026.1, which share most of their layers, and rounded up.
BUILT, STORED, PULLED = GIB // 4, GIB // 12, GIB // 4
# How much larger a layer is when it is unpacked.
PACKED = 4
BASE = GIB
SOURCES = GIB // 3
# Bytes that all stages of a lab with every feature need in total, on a host where nothing is built.
WHOLE = {DOCKER: 20 * GIB, CACHE: 4 * GIB}


@dataclass(frozen=True)
class Need:
    """The disk space in bytes that a stage needs in one place."""

    stage: str
    place: str
    size: int


def to_build(unbuilt: int, unstored: int) -> dict[str, int]:
    """The disk space in bytes for images that docker and the store of the registry do not have.

    Args:
        unbuilt: The number of images that docker does not have.
        unstored: The number of images that the store does not have.
    """
    return {
        DOCKER: BUILT * unbuilt + (BASE if unbuilt else 0),
        CACHE: STORED * unstored + (SOURCES if unbuilt else 0),
    }


def check(needs: Iterable[Need], folders: Mapping[str, Path]) -> None:
    """Check that every file system has enough free space.

    Args:
        needs: The needs of stages.
        folders: The folder of each place, which may not exist yet. Places that are left out are on
            another host and are not checked.

    Raises:
        HostError: A file system has too little free space.
    """
    by_device: dict[int, list[Need]] = {}
    roots: dict[int, Path] = {}
    for need in needs:
        if need.place in folders and need.size:
            root = files.existing(folders[need.place])
            device = root.stat().st_dev
            by_device.setdefault(device, []).append(need)
            roots.setdefault(device, folders[need.place])
    for device, all_of_it in by_device.items():
        free = shutil.disk_usage(files.existing(roots[device])).free
        wanted = sum(need.size for need in all_of_it)
        if free < wanted:
            raise HostError(
                f"the disk is too full: {free / GIB:.1f} GiB free for {roots[device]}, "
                f"{wanted / GIB:.1f} GiB are needed",
                details="\n".join(told(all_of_it)),
                hint="make room: `kollalab gc --yes`, `docker image prune`; "
                "or move docker's data-root, or KOLLALAB_CACHE",
            )


def check_stages(stages: Iterable[Stage[Any]], cache: Path) -> None:
    """Check that there is enough free space to build stages.

    Raises:
        HostError: A file system has too little free space.
    """
    root = data_root()
    folders = {CACHE: cache} | ({DOCKER: root} if root else {})
    check([Need(s.name, place, size) for s in stages for place, size in s.room().items()], folders)


def told(needs: Iterable[Need]) -> list[str]:
    """A line for each need, the largest first."""
    ordered = sorted(needs, key=lambda need: -need.size)
    return [f"{need.stage}: {need.size / GIB:.1f} GiB in {need.place}" for need in ordered]


def data_root() -> Path | None:
    """The folder of docker's images and volumes, or None if the daemon is on another host."""
    root = Path(daemon.connect().info()["DockerRootDir"])
    return root if root.is_dir() else None
