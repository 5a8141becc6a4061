"""The files of the registry's store: its tags, their sizes and their removal."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.garbage import size_of
from pytest_kollalab.providers import base
from pytest_kollalab.stages.images import registry
from pytest_kollalab.system import daemon, locks

if TYPE_CHECKING:
    from docker import DockerClient

COLLECT = ["docker-registry", "garbage-collect", "--delete-untagged"]
CONFIG = "/etc/docker/registry/config.yml"


def tags(root: Path) -> dict[str, list[Path]]:
    """The folders of each tag, one for each image."""
    found: dict[str, list[Path]] = {}
    for link in _base(root).glob("repositories/**/_manifests/tags/*/current/link"):
        folder = link.parent.parent
        found.setdefault(folder.name, []).append(folder)
    return found


def digest_of(root: Path, reference: str) -> str | None:
    """The digest of the manifest of a repository and tag, or None if the store has none."""
    repository, _, tag = reference.rpartition(":")
    folder = _base(root) / "repositories" / repository / "_manifests" / "tags" / tag
    try:
        return (folder / "current" / "link").read_text(encoding="ascii").strip()
    except FileNotFoundError:
        return None


def only_in(root: Path, mine: Iterable[Path], others: Iterable[Path]) -> int:
    """The bytes of the blobs that only the tags `mine` need."""
    blobs = _blobs(root, mine) - _blobs(root, others)
    return sum(size_of(path) for digest in blobs if (path := blob(root, digest)).is_file())


class Forget:
    """Removes a tag from the store and runs the registry's garbage collection."""

    def __init__(self, client: DockerClient, root: Path, tag: str, guard: Path) -> None:
        self.client = client
        self.root = root
        self.tag = tag
        self.guard = guard

    def __call__(self) -> None:
        with locks.exclusive(self.guard, "collect garbage", timeout=10, removes=True):
            registry.forget(self.root, self.tag)
            names = sorted(
                name
                for image in self.client.images.list(registry.REPOSITORY)
                for name in image.tags
            )
            if names:
                volume = f"{self.root}:{base.STORE}"
                argv = ["run", "--rm", "--network", "none", "--volume", volume]
                daemon.resolve().run([*argv, names[-1], *COLLECT, CONFIG])


def _blobs(root: Path, folders: Iterable[Path]) -> set[str]:
    found: set[str] = set()
    for folder in folders:
        todo = [(folder / "current" / "link").read_text(encoding="ascii").strip()]
        while todo:
            digest = todo.pop()
            if digest in found:
                continue
            found.add(digest)
            path = blob(root, digest)
            if path.is_file():
                table: Mapping[str, Any] = json.loads(path.read_bytes())
                todo += [each["digest"] for each in table.get("manifests", ())]
                below = [*table.get("layers", ()), table.get("config") or {}]
                found |= {each["digest"] for each in below if "digest" in each}
    return found


def blob(root: Path, digest: str) -> Path:
    """The file of a blob, which need not be there."""
    kind, _, value = digest.partition(":")
    return _base(root) / "blobs" / kind / value[:2] / value / "data"


def _base(root: Path) -> Path:
    return root / "docker" / "registry" / "v2"
