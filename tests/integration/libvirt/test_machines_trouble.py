"""Trouble with virtual machines: a message each, and nothing is left."""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from pytest_kollalab.engine import owners
from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.engine.records import Record, save
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.lab.gc import machines
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.libvirt import garbage, probe, xml
from pytest_kollalab.providers.libvirt import image as libvirt_image
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.provider import LibvirtProvider
from pytest_kollalab.providers.libvirt.storage import Storage, lab_of
from pytest_kollalab.providers.libvirt.xml import resource_name
from pytest_kollalab.settings.config import (
    Config,
    ControllerConfig,
    MachineConfig,
    NodesConfig,
    Options,
)
from pytest_kollalab.stages.nodes import NodesStage
from pytest_kollalab.system.errors import BusyError, HostError, StageError
from pytest_kollalab.system.paths import Paths
from tests import made

pytestmark = pytest.mark.xdist_group("machines")
LAB = f"itest-vx-{secrets.token_hex(2)}"
# It names the shared SSH connections too: those of another run lead to other machines.
RUN = secrets.token_hex(4)
WORDS = (
    b"hello\r\nKernel panic - not syncing: no such planet\r\n"
    b"---[ end Kernel panic - not syncing: no such planet ]---\r\n"
)


def speaking_sector() -> bytes:
    """A kernel that gives up: a boot sector that says the words on the serial port and halts."""
    start = 0x7C00
    head = bytes.fromhex("fa31c08ed8")
    loop = bytes.fromhex("bafd03") + bytes.fromhex("eca82074fb") + bytes.fromhex("baf803acee")
    back = (-(len(loop) + 2)) & 0xFF
    tail = bytes([0xE2, back]) + bytes.fromhex("f4ebfd")
    at = start + len(head) + 3 + 3 + len(loop) + len(tail)
    load = b"\xbe" + at.to_bytes(2, "little") + b"\xb9" + len(WORDS).to_bytes(2, "little")
    code = head + load + loop + tail + WORDS
    assert len(code) <= 510
    return code.ljust(510, b"\0") + b"\x55\xaa"


class Attempt:
    """A try to make a lab of machines."""

    def __init__(self, folder: Path, nodes: NodesConfig, uri: str = "") -> None:
        options = Options(name=LAB)
        self.folder = folder
        paths = Paths(cache=folder / "cache", state=folder)
        self.provider = LibvirtProvider(uri, options.mirror, paths)
        self.provider.__dict__["accelerator"] = "qemu"
        self.stage = NodesStage(Config(nodes=nodes), options, paths, provider=self.provider)

    def create(self) -> None:
        folder = self.folder / "nodes"
        folder.mkdir()
        with ExitStack() as undo:
            tag = owners.tag(LAB, "nodes", "key", RUN, self.folder)
            log = self.folder / "log"
            self.stage.create(Work("key", tag, (made.images(),), folder, log, undo))


def remove_image(nodes: NodesConfig) -> None:
    """Take from libvirt's storage what a test's own image left there."""
    name, storage = libvirt_image.name(nodes), Storage(LibvirtHost(""))
    for volume in (f"{name}.complete", name):
        storage.remove(volume)


def left() -> list[str]:
    host = LibvirtHost("")
    things = [thing.name() for _, thing in (*host.domains(LAB), *host.networks(LAB))]
    return [*things, *(name for name in Storage(host).names() if lab_of(name) == LAB)]


@pytest.fixture
def image(tmp_path: Path) -> Iterator[NodesConfig]:
    """A cloud image whose kernel panics; another one in each run, which may remove it."""
    path = tmp_path / "image.raw"
    path.write_bytes(speaking_sector() + secrets.token_bytes(512))
    small = {"cpus": 1, "memory": 64}
    nodes = NodesConfig(
        image=str(path),
        checksum=hashlib.sha256(path.read_bytes()).hexdigest(),
        disk=1,
        controller=ControllerConfig(**small),
        compute=MachineConfig(**small),
    )
    yield nodes
    remove_image(nodes)


def test_a_guest_that_panics_says_so_and_goes(tmp_path: Path, image: NodesConfig) -> None:
    attempt = Attempt(tmp_path, image)
    with pytest.raises(StageError, match="did not come up") as caught:
        attempt.create()
    assert "no such planet" in caught.value.details
    assert "hello" in caught.value.details
    assert left() == []


def test_too_little_memory_is_told_before_anything_is_made(
    tmp_path: Path, image: NodesConfig
) -> None:
    huge = NodesConfig(
        image=image.image, checksum=image.checksum, compute=MachineConfig(memory=2**30)
    )
    with pytest.raises(StageError, match="too little memory") as caught:
        Attempt(tmp_path, huge).create()
    assert f"compute-1 {2**30} MiB" in caught.value.details
    assert "[nodes.compute]" in caught.value.hint
    assert left() == []


def test_what_has_our_name_and_not_our_tag_is_left_alone(
    tmp_path: Path, image: NodesConfig
) -> None:
    name = resource_name(LAB, "external")
    network = LibvirtHost("").connection.networkDefineXML(f"<network><name>{name}</name></network>")
    try:
        attempt = Attempt(tmp_path, image)
        attempt.provider.destroy(LAB)
        with pytest.raises(StageError, match="not ours") as caught:
            attempt.create()
        assert name in caught.value.details
        assert network.name() == name
    finally:
        network.undefine()
    assert left() == []


def test_a_daemon_that_is_not_there_is_a_message() -> None:
    host = LibvirtHost("qemu:///system?socket=/nowhere")
    with pytest.raises(HostError, match="cannot be used") as caught:
        _ = host.connection
    assert "/nowhere" in caught.value.details
    [problem] = host.problems()
    assert "bootstrap" in problem.fix


class Watched(Storage):
    """Storage that knows what was brought to it."""

    def __init__(self, host: LibvirtHost) -> None:
        super().__init__(host)
        self.uploaded: list[str] = []

    def upload(self, name: str, source: Path, form: str, *, secret: bool = False) -> str:
        self.uploaded.append(name)
        return super().upload(name, source, form, secret=secret)


def test_the_probe_runs_a_guest_and_leaves_nothing(tmp_path: Path) -> None:
    host = LibvirtHost("")
    storage = Watched(host)
    # Emulation runs everywhere; whether KVM does is what the probe is there to find out.
    assert probe.run_guest(host, storage, "qemu", tmp_path) is None
    verdicts = [probe.kvm_trouble(host, storage, tmp_path) for _ in range(2)]
    assert verdicts[0] == verdicts[1]
    # A doctor that another test runs has a guest of its own meanwhile, of another name.
    assert storage.uploaded
    assert all(name.startswith(probe.PREFIX) for name in storage.uploaded)
    names = {domain.name() for domain in host.connection.listAllDomains()}
    assert not (names | set(storage.names())) & set(storage.uploaded)


def test_the_disk_of_a_killed_probe_is_garbage_once_it_is_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(LibvirtHost(""))
    name = f"{probe.PREFIX}{secrets.token_hex(4)}"
    (tmp_path / "disk").write_bytes(b"x")
    storage.upload(name, tmp_path / "disk", "raw")
    try:
        assert 0.0 <= storage.age_of(name) < 60.0
        assert not [item for item in garbage.probes(LibvirtHost("")) if item.what == name]
        monkeypatch.setattr(garbage, "PROBE_AGE", 0.0)
        [item] = [item for item in garbage.probes(LibvirtHost("")) if item.what == name]
        assert "was killed" in item.why
        item.remove()
        assert name not in storage.names()
    finally:
        storage.remove(name)


def test_what_a_lab_without_records_left_is_garbage(tmp_path: Path) -> None:
    paths, ownership = Paths(cache=tmp_path, state=tmp_path), Ownership(tmp_path)
    host = LibvirtHost("", ownership)
    tag = owners.tag(LAB, "nodes", "key", "run", tmp_path)
    subnet = Subnet(IPv4Network("10.255.255.0/24"), 1500)
    host.connection.networkDefineXML(xml.network_xml(tag, "external", subnet))
    (tmp_path / "disk").write_bytes(b"x")
    Storage(host).upload(f"{LAB}.compute-1.disk", tmp_path / "disk", "raw")
    [item] = [item for item in machines.leftovers(paths, host, ownership) if item.what == LAB]
    assert "1 network, 1 disk" in item.why
    item.remove()
    assert left() == []
    # With a record it is a lab, which nobody takes away.
    host.connection.networkDefineXML(xml.network_xml(tag, "external", subnet))
    record = paths.lab(LAB) / "nodes.json"
    save(record, Record("nodes", "key", "run", "ready", {}))
    assert not [item for item in machines.leftovers(paths, host, ownership) if item.what == LAB]
    record.unlink()
    for item in machines.leftovers(paths, host, ownership):
        if item.what == LAB:
            item.remove()
    assert left() == []


def test_a_lab_of_the_same_name_with_records_elsewhere_is_left_alone(
    tmp_path: Path, image: NodesConfig
) -> None:
    host, elsewhere = LibvirtHost(""), tmp_path / "elsewhere"
    tag = replace(owners.tag(LAB, "nodes", "key", "run", elsewhere), made="2026-01-01T00:00:00Z")
    record = Paths(cache=elsewhere, state=elsewhere).lab(LAB) / "nodes.json"
    save(record, Record("nodes", "key", "run", "ready", {}))
    subnet = Subnet(IPv4Network("10.255.255.0/24"), 1500)
    host.connection.networkDefineXML(xml.network_xml(tag, "external", subnet))
    (tmp_path / "disk").write_bytes(b"x")
    Storage(host).upload(f"{LAB}.compute-1.disk", tmp_path / "disk", "raw")
    there = left()
    attempt = Attempt(tmp_path, image)
    attempt.provider.destroy(LAB)
    with pytest.raises(BusyError, match="is not yours"):
        attempt.create()
    assert left() == there
    # Without its folder it is nobody's.
    shutil.rmtree(record.parent)
    attempt.provider.destroy(LAB)
    assert left() == []
