"""What libvirt has of labs that are not there any more, and images that no machine stands on."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from pathlib import Path

from pytest_kollalab.lab.gc.item import Item, is_held, size_of
from pytest_kollalab.lab.gc.labs import owner
from pytest_kollalab.providers.libvirt import image, machines, networks, probe
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.storage import Storage, lab_of
from pytest_kollalab.settings.config import Config
from pytest_kollalab.system.paths import Paths

BASE = "base-"
# Many times what a probe takes.
PROBE_AGE = 600.0


def leftovers(paths: Paths, host: LibvirtHost) -> Iterator[Item]:
    """Machines, networks and disks by lab, where the lab has no records any more.

    Nothing where there is no libvirt. A disk has no tag: it belongs to whom its machine belongs.
    """
    if host.problems():
        return
    storage = Storage(host)
    found: dict[str, dict[str, int]] = {}
    theirs: set[str] = set()
    for kind, things in (("machine", host.domains()), ("network", host.networks())):
        for tag, _ in things:
            if owner(tag.labels(), paths) is None:
                counts = found.setdefault(tag.lab, {})
                counts[kind] = counts.get(kind, 0) + 1
            else:
                theirs.add(tag.lab)
    for name in storage.names():
        lab = lab_of(name)
        if lab and lab not in theirs and owner({"kollalab.lab": lab}, paths) is None:
            counts = found.setdefault(lab, {})
            counts["disk"] = counts.get("disk", 0) + 1
    for lab, counts in sorted(found.items()):
        told = [f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in counts.items()]
        why = f"{', '.join(told)} at {host.uri}; lab {lab} has no records"
        yield Item("leftover", lab, why, 0.0, None, functools.partial(_destroy, host, lab))


def bases(paths: Paths, config: Config, host: LibvirtHost, older_than: float) -> Iterator[Item]:
    """Base images in the cache and in libvirt's storage that this configuration would not use."""
    folder = paths.cache / "libvirt"
    wanted = image.name(config.nodes)
    for path in sorted(folder.glob(f"{BASE}*.qcow2")):
        age = time.time() - path.stat().st_mtime
        if path.name != wanted and age >= older_than and not is_held(folder / "image.lock"):
            why = "an image of machines that this configuration does not use"
            yield Item("files", str(path), why, age, size_of(path), functools.partial(_drop, path))
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
                functools.partial(_remove, storage, name),
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
            remove = functools.partial(storage.remove, name)
            yield Item("files", name, why, age, storage.size_of(name), remove)


def _destroy(host: LibvirtHost, lab: str) -> None:
    machines.destroy(host, Storage(host), lab)
    networks.destroy(host, lab)


def _drop(path: Path) -> None:
    path.unlink(missing_ok=True)


def _remove(storage: Storage, name: str) -> None:
    storage.remove(f"{name}.complete")
    storage.remove(name)
