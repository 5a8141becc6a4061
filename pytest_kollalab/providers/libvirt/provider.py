"""The libvirt provider: nodes that are virtual machines, on KVM where it works, else emulated."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from pytest_kollalab.engine.garbage import InUse, Searches
from pytest_kollalab.engine.owners import Owner, Ownership
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers import host_registry
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.base import (
    NODES,
    REGISTRY,
    NetworkMade,
    NodeMade,
    Problem,
    ProvidedNodes,
    Provider,
    RegistrySource,
    Spec,
    check_owners,
)
from pytest_kollalab.providers.libvirt import garbage, machines, networks, probe
from pytest_kollalab.providers.libvirt import image as libvirt_image
from pytest_kollalab.providers.libvirt import kolla_variables as libvirt_globals
from pytest_kollalab.providers.libvirt import seed as libvirt_seed
from pytest_kollalab.providers.libvirt.console import Console
from pytest_kollalab.providers.libvirt.host import BOOTSTRAP, DEFAULT, LibvirtHost, remote
from pytest_kollalab.providers.libvirt.saves import LibvirtSaves
from pytest_kollalab.providers.libvirt.storage import Storage, volume_name
from pytest_kollalab.providers.libvirt.xml import INTERFACES, MTU, NETWORKS, Machine
from pytest_kollalab.settings.config import NodesConfig
from pytest_kollalab.system import debian, locks, temporary
from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import HostError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.threads import Threads

# Python in an emulated guest is four to seven times slower than on its host.
EMULATED = 8.0
PREPARE = Path(str(files("pytest_kollalab.providers.libvirt"))) / "prepare" / "prepare.yml"
PROGRAMS = {"qemu-img": "qemu-utils", "xorriso": "xorriso"}


class LibvirtProvider(Provider):
    """Nodes as virtual machines of the libvirt daemon at a URI, this host's if it is empty."""

    name = "libvirt"
    saving: LibvirtSaves

    def __init__(self, uri: str, mirror: str, paths: Paths, ranges: Sequence[str] = ()) -> None:
        self.host = LibvirtHost(uri, Ownership(paths.state))
        self.ranges = ranges
        self.storage = Storage(self.host)
        self.mirror = mirror
        self.paths = paths
        self.saving = LibvirtSaves(self.host)

    @cached_property
    def accelerator(self) -> str:
        """What machines run on: `kvm` or `qemu`."""
        return probe.accelerator(self.host, self.storage, self.paths.cache)

    @property
    def slowness(self) -> float:
        """How much longer everything takes than on containers."""
        return 1.0 if self.accelerator == "kvm" else EMULATED

    def problems(self) -> list[Problem]:
        """What the hosts lack, every problem at once."""
        found = [
            Problem(f"{program} is not installed", f"run `{BOOTSTRAP}`, or install {package}")
            for program, package in PROGRAMS.items()
            if shutil.which(program) is None
        ]
        return [*found, *self.host.problems()]

    def inputs(self, nodes: NodesConfig) -> dict[str, Any]:
        """The image, the sizes and what each machine is told."""
        elsewhere = {"uri": self.host.uri} if self.host.uri != DEFAULT else {}
        return elsewhere | {
            "image": libvirt_image.spec(nodes),
            "disk": nodes.disk,
            "sizes": {
                node: {"cpus": size.cpus, "memory": size.memory}
                for node, size in machines.sizes(nodes).items()
            },
            "mtu": MTU,
        }

    def check_sources(self, nodes: NodesConfig) -> None:
        """Ask the Debian mirror for the suite of the nodes, if there is no image of ours yet."""
        if not nodes.image and not libvirt_image.is_there(nodes, self.paths.cache):
            debian.check_mirror(nodes.suite, self.mirror)

    def prepare(self, nodes: NodesConfig, log: Path, say: Callable[[str], None]) -> None:
        """Have the base image in the cache."""
        libvirt_image.ensure(nodes, self.mirror, self.paths.cache, log, say)

    def create(self, spec: Spec, undo: ExitStack) -> ProvidedNodes:
        """Make networks and disks, then start both machines at once."""
        nodes, lab = spec.nodes, spec.tag.lab
        check_owners(self, lab)
        machines.check_names(self.host, lab)
        machines.check_memory(self.host, nodes)
        accelerator = self.accelerator
        spec.say(f"machines on {accelerator} at {self.host.uri}")
        image = libvirt_image.ensure(nodes, self.mirror, self.paths.cache, spec.log, spec.say)
        with locks.exclusive(image.with_name("upload.lock"), "upload the image", waiting=spec.say):
            base = self.storage.upload_once(image.name, image, "qcow2")
        # By tag and not by object: whatever step fails, all of it goes, in the right order.
        undo.callback(self.destroy, lab)
        subnets = networks.make(self.host, spec.tag, self.ranges)
        point("nodes:bridges-made")
        size = max(nodes.disk * libvirt_image.GIB, libvirt_image.virtual_size(image))
        registry = ""
        if spec.registry is not None:
            registry = host_registry.address(remote(self.host.uri), subnets["provisioning"])
            host_registry.make(spec.tag, spec.registry, registry)
        with Threads() as pool:
            jobs = [
                pool.submit(self._make, spec, node, subnets, accelerator, base, size, registry)
                for node in NODES
            ]
        for job in jobs:
            job.result()
        return ProvidedNodes(
            provider=self.name,
            uri=self.host.uri,
            jump=there.proxy if (there := remote(self.host.uri)) is not None else "",
            # What is not of our making has to be made ready for Kolla-Ansible.
            playbooks=(PREPARE,) if nodes.image else (),
            nodes={
                node: NodeMade(**{each: str(subnets[each].node(node)) for each in NETWORKS})
                for node in NODES
            },
            interfaces=INTERFACES,
            networks={
                name: NetworkMade(str(subnet.cidr), str(subnet.gateway), MTU[name])
                for name, subnet in subnets.items()
            },
            registry=registry,
            extra={"accelerator": accelerator},
        )

    def gone(self, lab: str, made: ProvidedNodes) -> str | None:
        """Name what is missing."""
        reason = machines.gone(self.host, lab, made.nodes)
        if reason is None and (network := networks.missing(self.host, lab)) is not None:
            reason = f"the network {network} is not there"
        return reason

    def halted(self, lab: str, made: ProvidedNodes) -> list[str]:
        """The networks and machines that are off, and the registry if it does not run."""
        found = [f"the network {name}" for name in networks.off(self.host, lab)]
        if made.registry and host_registry.stopped(lab) is not None:
            found.append(REGISTRY)
        return [*found, *machines.off(self.host, lab, made.nodes)]

    def start(
        self,
        tag: Tag,
        made: ProvidedNodes,
        registry: RegistrySource | None,
        *,
        nodes: bool = True,
    ) -> None:
        """Start networks, the registry at an address of theirs, then machines."""
        networks.start(self.host, tag.lab)
        if made.registry and host_registry.stopped(tag.lab) is not None:
            host_registry.start(tag, registry, made.registry)
        for domain in machines.of_lab(self.host, tag.lab).values() if nodes else ():
            if not domain.isActive():
                machines.start(self.host, domain)

    def destroy(self, lab: str) -> None:
        """Remove machines, disks, networks and the registry; one that stays stops no other."""
        removal = Attempts()
        with removal.step():
            machines.destroy(self.host, self.storage, lab)
        point("nodes:machines-removed")
        with removal.step():
            host_registry.destroy(lab, self.paths.state)
        with removal.step():
            networks.destroy(self.host, lab)
        removal.check(f"not all of lab {lab} could be removed")

    def owners(self, lab: str) -> list[Owner]:
        """Ask for what carries the lab's tag."""
        found = self.host.owners(lab)
        with suppress(HostError):
            # Without docker on this host there is no registry.
            found += host_registry.owners(lab, self.paths.state)
        return list(dict.fromkeys(found))

    def stopped(self, lab: str, thing: str) -> str | None:
        """Ask for the state of the machine, and whether its kernel has given up."""
        if thing == REGISTRY:
            return host_registry.stopped(lab)
        return machines.stopped(self.host, self.storage, lab, thing)

    def last_words(self, lab: str, thing: str) -> str:
        """The end of its console."""
        if thing == REGISTRY:
            return host_registry.last_words(lab)
        return Console(self.storage, volume_name(lab, f"{thing}.console")).last_lines()

    def globals(self) -> dict[str, Any]:
        """Kolla variables of a cloud on such nodes."""
        return libvirt_globals.kolla_globals(emulated=self.accelerator != "kvm")

    def garbage(self, nodes: NodesConfig, used: InUse, older_than: float) -> Searches:
        """Base images of machines, and disks of probes that were killed."""
        return {"files": lambda: garbage.files(self.paths.cache, nodes, self.host, older_than)}

    def _make(
        self,
        spec: Spec,
        node: str,
        subnets: Mapping[str, Subnet],
        accelerator: str,
        base: str,
        size: int,
        registry: str,
    ) -> None:
        lab = spec.tag.lab
        disk = self.storage.overlay(volume_name(lab, f"{node}.disk"), base, size)
        seed, console = (volume_name(lab, f"{node}.{kind}") for kind in ("seed", "console"))
        self.storage.remove(console)
        texts = libvirt_seed.texts(
            spec.tag,
            node,
            subnets,
            spec.authorized_key,
            spec.host_keys[node],
            registry,
            without_kvm=accelerator != "kvm" and bool(spec.nodes.image),
        )
        with temporary.scratch(self.paths.cache / "libvirt", "seed") as scratch:
            iso = Path(scratch) / "seed.iso"
            libvirt_seed.write_iso(texts, iso)
            there = self.storage.upload(seed, iso, "raw", secret=True)
        point("nodes:disks-made")
        machine = Machine(
            tag=spec.tag,
            node=node,
            size=machines.sizes(spec.nodes)[node],
            accelerator=accelerator,
            disk=disk,
            seed=there,
            console=self.storage.path(console),
        )
        domain = machines.define(self.host, machine)
        machines.start(self.host, domain)
