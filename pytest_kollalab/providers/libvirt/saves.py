"""The saved states of a lab's machines: both of them or none, disks and memory, at one moment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from pytest_kollalab.providers.base import NODES, Saving
from pytest_kollalab.providers.libvirt import machines as libvirt_machines
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.machines import patiently
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.threads import Threads

if TYPE_CHECKING:
    import libvirt

Machines = Mapping[str, "libvirt.virDomain"]


class LibvirtSaves(Saving):
    """The saved states of the labs of a libvirt daemon: disks and memory."""

    memory = True
    own_clock = True

    def __init__(self, host: LibvirtHost) -> None:
        self.host = host

    def save(self, lab: str, name: str) -> int:
        """Save both machines under a name that is not used yet; what it takes is not known.

        They stand still from before the first is saved until after the last: neither has a clock
        or a packet that the other does not know of. Raises StageError; then neither is saved.
        """
        machines = _machines(self.host, lab)
        try:
            with self.host.doing("pause the machines"):
                _both(machines, _pause)
            point("saves:paused")
            with self.host.doing(
                "save the machines", "look whether libvirt's host has room on its disk"
            ):
                _both(machines, lambda domain: _snapshot(domain, name))
            point("saves:saved")
        except BaseException:
            self.clear(lab, name)
            raise
        _resume(self.host, machines)
        return 0

    def restore(self, lab: str, name: str) -> None:
        """Bring both machines back to what they were.

        Raises StageError when one has no such state.
        """
        import libvirt

        machines = _machines(self.host, lab, off=True)
        states = {node: _find(domain, name) for node, domain in machines.items()}
        lacking = [node for node, state in states.items() if state is None]
        if lacking:
            raise StageError(
                f"there is no saved state {name} of {' and '.join(lacking)}",
                details=f"nothing has been changed; of {len(NODES)} machines all must have it",
                hint="clear it and save anew: kollalab clear NAME; kollalab save NAME",
            )

        def revert(domain: libvirt.virDomain) -> None:
            def act() -> None:
                state = domain.snapshotLookupByName(name)
                # Forced: a machine that crashed since is not asked whether it would like to.
                flags = (
                    libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_PAUSED
                    | libvirt.VIR_DOMAIN_SNAPSHOT_REVERT_FORCE
                )
                domain.revertToSnapshot(state, flags)

            patiently(act, f"{domain.name()} is what it was")
            point("saves:restored-one")

        with self.host.doing(
            "bring the machines back", "run the same again: the state is still saved"
        ):
            _both(machines, revert)
        point("saves:restored")
        _resume(self.host, machines)

    def saved(self, lab: str) -> list[str]:
        """The names under which both machines are saved."""
        names = [_names(domain) for domain in libvirt_machines.of_lab(self.host, lab).values()]
        return complete(names)

    def clear(self, lab: str, name: str) -> None:
        """Forget what was saved under a name, on whichever machine it is; they run afterwards."""
        machines = libvirt_machines.of_lab(self.host, lab)

        def forget(domain: libvirt.virDomain) -> None:
            def act() -> None:
                state = _find(domain, name)
                if state is not None:
                    state.delete()

            patiently(act, f"{name} of {domain.name()} is forgotten")
            point("saves:cleared-one")

        with self.host.doing(f"forget the saved state {name}"):
            _both(machines, forget)
        _resume(self.host, machines)


def incomplete(host: LibvirtHost, lab: str) -> dict[str, list[str]]:
    """The names under which one machine is saved and the other is not: name -> nodes that are."""
    found: dict[str, list[str]] = {}
    for node, domain in libvirt_machines.of_lab(host, lab).items():
        for name in _names(domain):
            found.setdefault(name, []).append(node)
    return {name: nodes for name, nodes in found.items() if len(nodes) < len(NODES)}


def complete(names: Iterable[Iterable[str]]) -> list[str]:
    """What is in all of the lists, if there are as many as nodes."""
    sets = [set(each) for each in names]
    return sorted(set.intersection(*sets)) if len(sets) == len(NODES) else []


def snapshot_xml(name: str) -> str:
    """A state of disks and memory inside the disks themselves, which every libvirt can revert."""
    root = ElementTree.Element("domainsnapshot")
    ElementTree.SubElement(root, "name").text = name
    return ElementTree.tostring(root, encoding="unicode")


def _machines(host: LibvirtHost, lab: str, *, off: bool = False) -> Machines:
    """The machines of a lab. Those that are off are refused, unless `off` is true."""
    found = libvirt_machines.of_lab(host, lab)
    gone = [node for node in NODES if node not in found]
    still = [] if off else [n for n in NODES if n not in gone and not found[n].isActive()]
    if gone or still:
        raise StageError(
            f"{' and '.join(gone or still)} of lab {lab} cannot be saved or brought back",
            details="the machine is not there" if gone else "the machine is off",
            hint="" if gone else f"start it with kollalab up --name {lab}, then run this again",
        )
    return found


def _snapshot(domain: libvirt.virDomain, name: str) -> None:
    domain.snapshotCreateXML(snapshot_xml(name), 0)
    point("saves:saved-one")


def _pause(domain: libvirt.virDomain) -> None:
    patiently(domain.suspend, f"{domain.name()} stands still")


def _resume(host: LibvirtHost, machines: Machines) -> None:
    import libvirt

    def go_on(domain: libvirt.virDomain) -> None:
        def act() -> None:
            if domain.isActive() and domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()

        patiently(act, f"{domain.name()} goes on")

    with host.doing("have the machines go on"):
        _both(machines, go_on)


def _both(machines: Machines, act: Callable[[libvirt.virDomain], None]) -> None:
    with Threads(max(1, len(machines))) as pool:
        jobs = [pool.submit(act, domain) for domain in machines.values()]
    for job in jobs:
        job.result()


def _names(domain: libvirt.virDomain) -> list[str]:
    return [state.getName() for state in domain.listAllSnapshots()]


def _find(domain: libvirt.virDomain, name: str) -> libvirt.virDomainSnapshot | None:
    import libvirt

    try:
        return domain.snapshotLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_SNAPSHOT:
            return None
        raise
