"""The life of two virtual machines: made, looked into, saved, changed, rolled back, removed."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import libvirt
import pytest
import testinfra

from pytest_kollalab.engine import owners
from pytest_kollalab.engine.records import READY, Record, save
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.providers.base import NODES, NodesMade
from pytest_kollalab.providers.libvirt.console import Console
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.provider import LibvirtProvider
from pytest_kollalab.providers.libvirt.storage import Storage, lab_of, volume_name
from pytest_kollalab.providers.libvirt.xml import resource_name
from pytest_kollalab.settings.config import (
    Config,
    ControllerConfig,
    MachineConfig,
    NodesConfig,
    Options,
)
from pytest_kollalab.stages.cloud import readiness
from pytest_kollalab.stages.nodes import NodesStage
from pytest_kollalab.stages.states.saves import Saves
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths, default_paths
from pytest_kollalab.system.ssh import Ssh
from tests import made

pytestmark = pytest.mark.xdist_group("machines")
# Two runs on one host, each with a state of its own, must not meet.
LAB = f"itest-vm-{secrets.token_hex(2)}"
# It names the shared SSH connections too: those of another run lead to other machines.
RUN = secrets.token_hex(4)
SMALL = {"cpus": 1, "memory": 768}


class Life:
    """A lab of two small machines, without a cloud."""

    made: NodesMade

    def __init__(self, folder: Path, uri: str) -> None:
        options = Options(name=LAB)
        paths = Paths(cache=default_paths().cache, state=folder)
        nodes = NodesConfig(controller=ControllerConfig(**SMALL), compute=MachineConfig(**SMALL))
        self.root = paths.lab(LAB)
        self.root.mkdir(parents=True, exist_ok=True)
        self.provider = LibvirtProvider(uri, options.mirror, paths)
        config = Config(nodes=nodes)
        self.stage = NodesStage(config, options, paths, provider=self.provider)
        self.saves = Saves(LAB, self.root, self.provider)

    def work(self, undo: ExitStack | None = None) -> Work:
        folder = self.root / "nodes"
        folder.mkdir(exist_ok=True, mode=0o700)
        return Work(
            key="key",
            tag=owners.tag(LAB, "nodes", "key", RUN, self.root.parents[1]),
            needs=(made.images(),),
            folder=folder,
            log=self.root / "nodes.log",
            undo=undo or ExitStack(),
        )

    def create(self) -> None:
        with ExitStack() as undo:
            self.made = self.stage.create(self.work(undo))
            undo.pop_all()
        save(self.root / "nodes.json", self.record)

    @property
    def record(self) -> Record:
        return Record("nodes", "key", RUN, READY, {}, made=self.made.to_json())

    @property
    def ssh(self) -> Ssh:
        return Ssh(self.made.ssh_config)

    def run(self, node: str, script: str) -> str:
        return self.ssh.run(node, ["sh", "-c", script], timeout=120).stdout.strip()

    def both(self, script: str) -> list[str]:
        return [self.run(node, script) for node in NODES]

    def settle(self) -> None:
        log = self.root / "log"
        readiness.settle(LAB, self.made, None, self.provider, lambda _: (), log)


def left(lab: str) -> list[str]:
    """Everything of a lab that libvirt still has."""
    host = LibvirtHost("")
    things = [thing.name() for _, thing in (*host.domains(lab), *host.networks(lab))]
    return [*things, *(name for name in Storage(host).names() if lab_of(name) == lab)]


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, over_ssh: str) -> Iterator[Life]:
    """Made through SSH, as on a remote host, and looked after through the local daemon."""
    folder = tmp_path_factory.mktemp("machines")
    # One folder of state: with its records elsewhere it would be another lab of the same name.
    remote, found = Life(folder, over_ssh), Life(folder, "")
    try:
        remote.create()
        found.made = remote.made
        yield found
    finally:
        found.stage.destroy(found.work())
        found.stage.destroy(found.work())
    assert left(LAB) == []


def test_both_machines_run(life: Life, over_ssh: str) -> None:
    assert life.both("systemctl is-system-running; hostname") == [f"running\n{n}" for n in NODES]
    assert life.provider.gone(LAB, life.made) is None
    assert life.made.uri == over_ssh
    assert life.provider.accelerator == life.made.extra["accelerator"]


@pytest.mark.parametrize("node", NODES)
def test_testinfra_finds_what_kolla_needs(life: Life, node: str) -> None:
    host = testinfra.get_host(f"ssh://{node}?ssh_config={life.made.ssh_config}")
    addresses = life.made.nodes[node]
    assert addresses.provisioning in host.interface("prov0").addresses
    assert addresses.management in host.interface("mgmt0").addresses
    # It belongs to Open vSwitch, though networkd would give it an address.
    assert host.interface("ext0").exists
    assert host.check_output("ip -6 address show dev ext0") == ""
    assert host.addr("controller-1").ipv4_addresses == [life.made.controller.management]
    assert host.service("docker").is_running
    host.check_output("python3 -c 'import dbus, docker'")
    # Open vSwitch forwards in the kernel of such a node.
    host.check_output("modprobe openvswitch && modprobe br_netfilter")


def test_an_emulated_machine_has_no_kvm_that_would_crash_it(life: Life) -> None:
    if life.provider.accelerator == "kvm":
        pytest.skip("these machines have a KVM that works")
    loaded = "modprobe kvm_amd; cut -d' ' -f1 /proc/modules | grep -x kvm_amd"
    assert life.both(f"{loaded}; ls /dev | grep -x kvm || true") == ["", ""]


def test_a_rollback_undoes_a_change_on_both_and_reboots_none(life: Life) -> None:
    booted = life.both("cat /proc/sys/kernel/random/boot_id")
    life.both("sleep 1000 > /dev/null 2>&1 & echo $! > /run/sleeper")
    life.ssh.close()
    made = life.saves.save("before")
    assert life.provider.saving.saved(LAB) == [made.label]
    life.both("echo changed > /root/change; sync; kill $(cat /run/sleeper)")
    life.ssh.close()
    life.saves.restore("before")
    life.settle()
    assert life.both("ls /root; ps -o comm= -p $(cat /run/sleeper)") == ["sleep", "sleep"]
    assert life.both("cat /proc/sys/kernel/random/boot_id") == booted
    assert life.both("systemctl is-system-running") == ["running", "running"]


def test_clocks_are_right_after_a_rollback(life: Life) -> None:
    for node in NODES:
        before = time.time()
        told = float(life.run(node, "date +%s.%N"))
        assert before - 2 < told < time.time() + 2, node


def test_a_save_that_was_killed_is_mended_by_the_next_run(life: Life) -> None:
    [save] = life.saves.list()
    domain = life.provider.host.domain(resource_name(LAB, "compute-1"))
    assert domain is not None
    # What a kill between the two machines leaves: paused, and one of them saved.
    domain.suspend()
    domain.snapshotCreateXML("<domainsnapshot><name>half.1</name></domainsnapshot>", 0)
    assert life.provider.saving.saved(LAB) == [save.label]
    life.provider.saving.clear(LAB, "half.1")
    assert [each.getName() for each in domain.listAllSnapshots()] == [save.label]
    assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING


def test_a_state_that_one_machine_has_lost_is_refused(life: Life) -> None:
    domain = life.provider.host.domain(resource_name(LAB, "compute-1"))
    assert domain is not None
    domain.listAllSnapshots()[0].delete()
    with pytest.raises(StageError, match="not whole"):
        life.saves.restore("before")
    life.saves.clear("before")
    other = life.provider.host.domain(resource_name(LAB, "controller-1"))
    assert other is not None
    assert other.listAllSnapshots() == []
    assert life.saves.list() == []


def test_the_console_is_kept(life: Life) -> None:
    for node in NODES:
        console = Console(life.provider.storage, volume_name(LAB, f"{node}.console"))
        assert "Welcome to Debian" in console.text()
        assert life.provider.last_words(LAB, node).strip()
        assert life.provider.stopped(LAB, node) is None


def test_machines_that_are_off_are_started_or_brought_back(life: Life) -> None:
    life.saves.save("mine")
    domain = life.provider.host.domain(resource_name(LAB, "compute-1"))
    assert domain is not None
    domain.destroy()
    assert life.provider.gone(LAB, life.made) is None
    assert life.provider.halted(LAB, life.made) == ["compute-1"]
    assert "is off" in str(life.provider.stopped(LAB, "compute-1"))
    with pytest.raises(StageError, match="cannot be saved") as caught:
        life.saves.save("late")
    assert f"kollalab up --name {LAB}" in caught.value.hint
    # A rollback needs no machine that runs.
    life.saves.restore("mine")
    assert life.provider.halted(LAB, life.made) == []
    # As after a reboot of the host.
    for _, machine in life.provider.host.domains(LAB):
        machine.destroy()
    for _, network in life.provider.host.networks(LAB):
        network.destroy()
    networks = [f"the network {name}" for name in ("provisioning", "management", "external")]
    halted = life.provider.halted(LAB, life.made)
    assert halted[:3] == networks
    assert sorted(halted[3:]) == sorted(NODES)
    life.provider.start(life.work().tag, life.made, None)
    assert life.provider.halted(LAB, life.made) == []
    life.saves.clear("mine")
