"""Saved states of machines too small for a system: memory comes back, on both or on none."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import libvirt
import pytest

from pytest_kollalab.engine import owners
from pytest_kollalab.providers.base import NODES, HostKey, Spec
from pytest_kollalab.providers.libvirt import image as libvirt_image
from pytest_kollalab.providers.libvirt import saves
from pytest_kollalab.providers.libvirt.console import Console
from pytest_kollalab.providers.libvirt.provider import LibvirtProvider
from pytest_kollalab.providers.libvirt.storage import volume_name
from pytest_kollalab.providers.libvirt.xml import resource_name
from pytest_kollalab.settings.config import ControllerConfig, MachineConfig, NodesConfig, Options
from pytest_kollalab.system.errors import StageError
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.wait import until
from tests import host_state
from tests.host_state import State

pytestmark = pytest.mark.xdist_group("machines")
LAB = f"itest-vs-{secrets.token_hex(2)}"
# A boot sector that writes A to Z to the serial port, again and again, three letters a second. The
# next letter is nowhere but in the machine's processor.
LETTERS = bytes.fromhex(
    "31c08ed88ed0bc007cb341fbb90600f4e2fdbafd03eca82074fb88d8baf803eefec380fb5b75e5b341ebe1"
)


class Machines:
    """Two machines that say the alphabet."""

    def __init__(self, folder: Path) -> None:
        paths = Paths(cache=folder / "cache", state=folder)
        self.provider = LibvirtProvider("", Options.mirror, paths)
        self.provider.__dict__["accelerator"] = "qemu"
        self.folder = folder

    def create(self) -> None:
        image = self.folder / "image.raw"
        # Another image in each run, which may remove it.
        image.write_bytes(LETTERS.ljust(510, b"\0") + b"\x55\xaa" + secrets.token_bytes(512))
        small = {"cpus": 1, "memory": 32}
        nodes = NodesConfig(
            image=str(image),
            checksum=hashlib.sha256(image.read_bytes()).hexdigest(),
            disk=1,
            controller=ControllerConfig(**small),
            compute=MachineConfig(**small),
        )
        spec = Spec(
            tag=owners.tag(LAB, "nodes", "key", "run", self.folder),
            names=NODES,
            nodes=nodes,
            authorized_key="key",
            host_keys=dict.fromkeys(NODES, HostKey("private", "public")),
            registry=None,
            images=None,
            log=self.folder / "log",
            say=lambda _: None,
        )
        self.image = libvirt_image.name(nodes)
        with ExitStack() as undo:
            self.provider.create(spec, undo)
            undo.pop_all()

    def destroy(self) -> None:
        self.provider.destroy(LAB)
        for name in (f"{self.image}.complete", self.image):
            self.provider.storage.remove(name)

    def said(self, node: str) -> str:
        console = Console(self.provider.storage, volume_name(LAB, f"{node}.console"))
        return "".join(letter for letter in console.text() if letter.isupper())

    def have_said(self, count: int) -> dict[str, str]:
        """What both have said since they were made, at least so many letters."""

        def all_have() -> dict[str, str] | None:
            found = {node: self.said(node) for node in NODES}
            return found if all(len(text) >= count for text in found.values()) else None

        return until(f"both have said {count} letters", all_have, timeout=120)

    def domain(self, node: str) -> libvirt.virDomain:
        found = self.provider.host.domain(resource_name(LAB, node))
        assert found is not None
        return found

    def states(self) -> list[list[str]]:
        return [[s.getName() for s in self.domain(node).listAllSnapshots()] for node in NODES]

    def run(self) -> bool:
        running = libvirt.VIR_DOMAIN_RUNNING
        return all(self.domain(node).state()[0] == running for node in NODES)


def others() -> set[str]:
    """The machines and bridges that libvirt has for others."""
    connection = libvirt.open("qemu:///system")
    try:
        mine = resource_name(LAB, "")
        domains = {each.name() for each in connection.listAllDomains()}
        networks = [each for each in connection.listAllNetworks() if mine not in each.name()]
        bridges = {each.bridgeName() for each in networks if each.isActive()}
        return {name for name in domains if mine not in name} | bridges
    finally:
        connection.close()


@pytest.fixture(scope="module")
def before() -> State:
    return host_state.look(LAB, more=others)


@pytest.fixture(scope="module")
def machines(before: State, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    made = Machines(tmp_path_factory.mktemp("saved"))
    try:
        made.create()
        yield made
    finally:
        made.destroy()


def test_both_go_on_from_the_very_letter(machines: Machines) -> None:
    machines.have_said(3)
    machines.provider.saving.save(LAB, "one.1")
    assert machines.provider.saving.saved(LAB) == ["one.1"]
    assert machines.run()
    # Both stood still meanwhile, so what they had said then is what they say next when they go on.
    before = {node: len(text) for node, text in machines.have_said(3).items()}
    after = machines.have_said(max(before.values()) + 8)
    machines.provider.saving.restore(LAB, "one.1")
    assert machines.run()
    went_back = machines.have_said(max(map(len, after.values())) + 8)
    for node in NODES:
        text = went_back[node]
        breaks = [i for i in range(1, len(text)) if text[i] != follower(text[i - 1])]
        assert len(breaks) == 1, text
        assert text[breaks[0]] in text[: before[node] + 2][-4:], text


def follower(letter: str) -> str:
    return "A" if letter == "Z" else chr(ord(letter) + 1)


def test_a_restore_can_be_done_again(machines: Machines) -> None:
    for _ in range(2):
        machines.provider.saving.restore(LAB, "one.1")
    assert machines.run()


def test_what_is_on_one_machine_only_is_none(machines: Machines) -> None:
    # What a kill between the two leaves: one saved, both paused.
    for node in NODES:
        machines.domain(node).suspend()
    machines.domain("compute-1").snapshotCreateXML(saves.snapshot_xml("half.1"), 0)
    assert machines.provider.saving.saved(LAB) == ["one.1"]
    assert saves.incomplete(machines.provider.host, LAB) == {"half.1": ["compute-1"]}
    with pytest.raises(StageError, match=r"no saved state half\.1 of controller-1"):
        machines.provider.saving.restore(LAB, "half.1")
    machines.provider.saving.clear(LAB, "half.1")
    assert machines.states() == [["one.1"], ["one.1"]]
    assert machines.run()


def test_a_save_that_fails_on_one_leaves_none(machines: Machines) -> None:
    # The name is taken on one of them, so libvirt refuses there.
    machines.domain("compute-1").snapshotCreateXML(saves.snapshot_xml("two.1"), 0)
    with pytest.raises(StageError, match="could not save the machines"):
        machines.provider.saving.save(LAB, "two.1")
    assert machines.states() == [["one.1"], ["one.1"]]
    assert machines.run()


def test_cleared_is_gone_and_clearing_again_is_no_error(machines: Machines) -> None:
    for _ in range(2):
        machines.provider.saving.clear(LAB, "one.1")
    assert machines.states() == [[], []]
    assert machines.run()


def test_machines_that_are_off_are_not_saved(machines: Machines) -> None:
    machines.domain("compute-1").destroy()
    started = time.monotonic()
    with pytest.raises(StageError, match=r"compute-1 of lab .* cannot be saved"):
        machines.provider.saving.save(LAB, "late.1")
    assert time.monotonic() - started < 30
    assert machines.states() == [[], []]


def test_the_host_is_as_it_was(before: State, machines: Machines) -> None:
    assert host_state.difference(before, host_state.look(LAB, more=others)), "it sees a lab"
    machines.destroy()

    host_state.await_same(before, LAB, more=others)
