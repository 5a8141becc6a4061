"""What virtual machines leave behind for later ones, and nothing uses any more."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pytest_kollalab.engine.garbage import Item, is_held, size_of
from pytest_kollalab.providers.libvirt import image, probe
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.storage import Storage, lab_of
from pytest_kollalab.settings.config import NodesConfig

BASE = "base-"
# Many times what a probe takes.
PROBE_AGE = 600.0


def files(cache: Path, nodes: NodesConfig, host: LibvirtHost, older_than: float) -> Iterator[Item]:
    """Base images and disks that nothing uses."""
    yield from bases(cache, nodes, host, older_than)
    yield from probes(host)


def bases(cache: Path, nodes: NodesConfig, host: LibvirtHost, older_than: float) -> Iterator[Item]:
    """Base images in the cache and in libvirt's storage that this configuration would not use."""
    folder = cache / "libvirt"
    wanted = image.name(nodes)
    for path in sorted(folder.glob(f"{BASE}*.qcow2")):
        age = time.time() - path.stat().st_mtime
        if path.name != wanted and age >= older_than and not is_held(folder / "image.lock"):
            why = "an image of machines that this configuration does not use"
            yield Item("files", str(path), why, age, size_of(path), partial(_drop, path))
    if host.problems():
        return
    storage = Storage(host)
    there = storage.names()
    used = {wanted, *(storage.base_of(name) for name in there if lab_of(name))}
    for name in there:
        if name.startswith(BASE) and name.endswith(".qcow2") and name not in used:
            why = f"an image that no machine at {host.uri} stands on"
            yield Item(
                "files",
                name,
                why,
                0.0,
                storage.size_of(name),
                partial(_remove, storage, name),
            )


def probes(host: LibvirtHost) -> Iterator[Item]:
    """Disks of probes that were killed; their guests went with the connection."""
    if host.problems():
        return
    storage = Storage(host)
    for name in storage.names():
        age = storage.age_of(name) if name.startswith(probe.PREFIX) else 0.0
        if age >= PROBE_AGE:
            why = f"the disk of a probe at {host.uri} that was killed"
            remove = partial(storage.remove, name)
            yield Item("files", name, why, age, storage.size_of(name), remove)


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)


def _remove(storage: Storage, name: str) -> None:
    storage.remove(f"{name}.complete")
    storage.remove(name)
