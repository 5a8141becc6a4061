"""The machines of a lab: defined, started together, looked at, and removed by tag."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from pytest_kollalab.providers.base import CONTROLLER, NODES
from pytest_kollalab.providers.libvirt import xml
from pytest_kollalab.providers.libvirt.console import Console
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.storage import Storage, lab_of, volume_name
from pytest_kollalab.providers.libvirt.xml import Machine, resource_name
from pytest_kollalab.settings.config import MachineConfig, NodesConfig
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.wait import NotYet, until

if TYPE_CHECKING:
    import libvirt

MIB = 2**20
# What libvirt's host keeps for itself and for QEMU's own needs.
RESERVE = 512 * MIB
LOCK_TIMEOUT = 120.0


def sizes(nodes: NodesConfig) -> dict[str, MachineConfig]:
    """The size of each node."""
    return {node: nodes.controller if node == CONTROLLER else nodes.compute for node in NODES}


def check_memory(host: LibvirtHost, nodes: NodesConfig) -> None:
    """Raise StageError when the host has less memory free than the machines are to have."""
    wanted = {node: size.memory * MIB for node, size in sizes(nodes).items()}
    with host.doing("tell how much memory is free"):
        stats = host.connection.getMemoryStats(-1)
    # In KiB; what is cached is given back when it is asked for.
    free = 1024 * sum(int(stats.get(name, 0)) for name in ("free", "buffers", "cached"))
    if free - RESERVE < sum(wanted.values()):
        listed = ", ".join(f"{node} {size // MIB} MiB" for node, size in wanted.items())
        raise StageError(
            "there is too little memory for the machines",
            details=f"they are to have: {listed}; {free // MIB} MiB are free at {host.uri}, "
            f"of which {RESERVE // MIB} MiB stay with the host",
            hint="end what uses it, or give the machines less: [nodes.controller] and "
            "[nodes.compute] with `memory` in kollalab.toml",
        )


def check_names(host: LibvirtHost, lab: str) -> None:
    """Raise StageError when a name that we need is taken by something without our tag."""
    tagged = {thing.name() for _, thing in (*host.domains(lab), *host.networks(lab))}
    wanted = {resource_name(lab, thing) for thing in (*NODES, *xml.NETWORKS)}
    there = [*host.connection.listAllDomains(), *host.connection.listAllNetworks()]
    taken = sorted(name for thing in there if (name := thing.name()) in wanted - tagged)
    if taken:
        raise StageError(
            f"{taken[0]} exists already and is not ours",
            details=f"names that are taken, without the tag of lab {lab}: {', '.join(taken)}",
            hint="remove or rename them with virsh, or give the lab another --kollalab-name",
        )


def define(host: LibvirtHost, machine: Machine) -> libvirt.virDomain:
    """Tell libvirt of a machine; it does not run yet."""
    with host.doing(f"define {machine.node}"):
        found = host.connection.defineXML(xml.domain_xml(machine))
    point("nodes:machine-defined")
    return found


def start(host: LibvirtHost, machine: libvirt.virDomain) -> None:
    """Start a machine."""
    with host.doing(f"start {machine.name()}"):
        machine.create()
    point("nodes:machine-started")


def of_lab(host: LibvirtHost, lab: str) -> dict[str, libvirt.virDomain]:
    """The machines of a lab by node."""
    prefix = resource_name(lab, "")
    return {domain.name().removeprefix(prefix): domain for _, domain in host.domains(lab)}


def destroy(host: LibvirtHost, storage: Storage, lab: str) -> None:
    """Remove machines with their saved states, then their disks."""
    import libvirt

    for domain in of_lab(host, lab).values():
        with host.doing(f"remove {domain.name()}"):
            if domain.isActive():
                # Also while libvirt is busy saving it for a run that was killed.
                patiently(domain.destroy, f"{domain.name()} is off")
            domain.undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                | libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
            )
        point("nodes:machine-removed")
    # A disk has no tag: where two labs have one name it may be the other's.
    for name in () if host.is_shared(lab) else storage.names():
        if lab_of(name) == lab:
            storage.remove(name)
            point("nodes:disk-removed")


def patiently(act: Callable[[], object], what: str) -> None:
    """Do something to a machine as soon as libvirt has ended what it does to it."""
    import libvirt

    def done() -> bool | NotYet:
        try:
            act()
        except libvirt.libvirtError as error:
            busy = (libvirt.VIR_ERR_OPERATION_TIMEOUT, libvirt.VIR_ERR_OPERATION_ABORTED)
            if error.get_error_code() in busy:
                return NotYet(str(error))
            raise
        return True

    until(what, done, timeout=LOCK_TIMEOUT)


def stopped(host: LibvirtHost, storage: Storage, lab: str, node: str) -> str | None:
    """Why a machine will not answer any more; None while it may."""
    import libvirt

    domain = of_lab(host, lab).get(node)
    if domain is None:
        return f"{node} is not there"
    try:
        state, reason = domain.state()
    except libvirt.libvirtError as error:
        return str(error)
    states = {
        libvirt.VIR_DOMAIN_SHUTOFF: "is off",
        libvirt.VIR_DOMAIN_SHUTDOWN: "is shutting down",
        libvirt.VIR_DOMAIN_CRASHED: "has crashed",
    }
    if state in states:
        return f"{node} {states[state]} (reason {reason})"
    return Console(storage, volume_name(lab, f"{node}.console")).panic(node)


def gone(host: LibvirtHost, lab: str, wanted: Mapping[str, object]) -> str | None:
    """Which machine of a lab is not there; None when all are, also those that are off."""
    there = of_lab(host, lab)
    return next((f"{node} is not there" for node in wanted if node not in there), None)


def off(host: LibvirtHost, lab: str, wanted: Mapping[str, object]) -> list[str]:
    """The machines of a lab that are there and off."""
    there = of_lab(host, lab)
    return [node for node in wanted if node in there and not there[node].isActive()]
