"""Finds resources in libvirt of labs that no longer exist."""

from __future__ import annotations

import functools
from collections.abc import Iterator

from pytest_kollalab.engine.garbage import Item
from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.lab.gc.labs import is_here, is_left
from pytest_kollalab.providers.libvirt import machines, networks
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.storage import Storage, lab_of
from pytest_kollalab.system.paths import Paths


def leftovers(paths: Paths, host: LibvirtHost, ownership: Ownership) -> Iterator[Item]:
    """The machines, networks and disks of labs that no longer exist, by lab.

    Finds nothing if libvirt cannot be used. Disks have no tag and belong to the lab in their name;
    networks are made before them and removed after them.
    """
    if host.problems():
        return
    storage = Storage(host)
    found: dict[str, dict[str, int]] = {}
    theirs: set[str] = set()
    for kind, things in (("machine", host.domains()), ("network", host.networks())):
        for tag, _ in things:
            if is_left(tag.labels(), paths, ownership):
                counts = found.setdefault(tag.lab, {})
                counts[kind] = counts.get(kind, 0) + 1
            else:
                theirs.add(tag.lab)
    for name in storage.names():
        lab = lab_of(name)
        if not lab or lab in theirs:
            continue
        old = lab in found or storage.age_of(name) >= ownership.abandoned
        if old and not is_here(lab, paths):
            counts = found.setdefault(lab, {})
            counts["disk"] = counts.get("disk", 0) + 1
    for lab, counts in sorted(found.items()):
        told = [f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in counts.items()]
        why = f"{', '.join(told)} at {host.uri}; lab {lab} does not exist"
        yield Item("leftover", lab, why, 0.0, None, functools.partial(_destroy, host, lab))


def _destroy(host: LibvirtHost, lab: str) -> None:
    machines.destroy(host, Storage(host), lab)
    networks.destroy(host, lab)
