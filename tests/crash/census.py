"""The census: what of a lab, or of one run, is on this host, counted by tag."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import docker
import docker.errors

KINDS = (
    "containers",
    "networks",
    "volumes",
    "images",
    "namespaces",
    "mounts",
    "loops",
    "processes",
    "files",
)


@dataclass
class Trail:
    """How things of a run are known: a docker label, its process, its folders.

    `pids` are the processes that were killed, `spaces` the namespaces of PIDs that are of the run
    alone, as marks name them. What docker says of containers while they are there
    is remembered, to look for their mounts, namespaces and processes when they are gone.
    """

    label: str
    folders: tuple[Path, ...]
    pids: list[int] = field(default_factory=list)
    containers: set[str] = field(default_factory=set)
    namespaces: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)
    runs: set[str] = field(default_factory=set)
    spaces: list[str] = field(default_factory=list)

    @property
    def marks(self) -> tuple[str, ...]:
        return tuple(f"pid{pid}." for pid in self.pids)


def take(trail: Trail) -> dict[str, int]:
    """Count everything."""
    client = docker.from_env()
    only: Any = {"label": [trail.label]}
    containers = []
    for each in client.api.containers(all=True, filters=only):
        # One that removes itself when it has done its work may do so just now.
        with suppress(docker.errors.NotFound):
            _remember(trail, client.api.inspect_container(each["Id"]))
            containers.append(each)
    found: dict[str, Sequence[object]] = {
        "containers": [str(each["Names"]) for each in containers],
        "networks": [each["Name"] for each in client.api.networks(filters=only)],
        "volumes": [each["Name"] for each in client.api.volumes(filters=only)["Volumes"] or []],
        "images": client.api.images(filters=only),
        "namespaces": _mounted(trail.namespaces),
        "mounts": _mounted({*trail.containers, *trail.layers, *map(str, trail.folders)}),
        "loops": _loops(trail.folders),
        "processes": _processes(trail),
        "files": _files(trail),
    }
    client.close()
    return {kind: len(things) for kind, things in found.items()}


def _remember(trail: Trail, details: dict[str, Any]) -> None:
    trail.containers.add(details["Id"])
    trail.runs.add(details["Config"]["Labels"]["kollalab.run"])
    key = details["NetworkSettings"]["SandboxKey"]
    # A container on the host's network has the host's namespace, which stays.
    if key and not key.endswith("/default"):
        trail.namespaces.add(key)
    if merged := (details["GraphDriver"].get("Data") or {}).get("MergedDir"):
        trail.layers.add(merged)


def _mounted(words: Iterable[str]) -> list[str]:
    # The kernel names the same place with and without /var. A namespace of docker's is there as
    # long as it is mounted; its empty file is collected by docker once a minute.
    found = {word.removeprefix("/var") for word in words}
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return [line for line in lines if any(word in line for word in found)]


def _loops(folders: Iterable[Path]) -> list[str]:
    files = [
        path.read_text().strip() for path in Path("/sys/block").glob("loop*/loop/backing_file")
    ]
    return [file for file in files if any(Path(file).is_relative_to(f) for f in folders)]


def _processes(trail: Trail) -> list[str]:
    found = []
    marks = [f"KOLLALAB_STARTED_BY={mark}".encode() for mark in trail.marks]
    spaces = [space.encode() for space in trail.spaces]
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "environ").read_bytes().split(b"\0")
            groups = (folder / "cgroup").read_text()
            ended = (folder / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
        except OSError:
            continue
        owners = [word for word in words if word.startswith(b"KOLLALAB_STARTED_BY=")]
        ours = any(owner.startswith(mark) for owner in owners for mark in marks)
        ours = ours or any(space in owner for owner in owners for space in spaces)
        if not ended and (ours or any(container in groups for container in trail.containers)):
            found.append(folder.name)
    return found


def _files(trail: Trail) -> list[Path]:
    found = [path for folder in trail.folders for path in (folder, *folder.rglob("*"))]
    found = [path for path in found if path.exists()]
    sockets = Path(f"/tmp/kollalab-{os.getuid()}")
    found += [path for path in sockets.glob("*") if path.name.split("-")[0] in trail.runs]
    return found


def marked(folders: Iterable[Path], marks: Iterable[str]) -> list[Path]:
    """The temporary files and folders of killed processes, not deeper than they are made."""
    return [
        path
        for folder in folders
        for depth in ("*", "*/*", "*/*/*", "*/*/*/*")
        for path in folder.glob(depth)
        if any(mark in path.name for mark in marks)
    ]
