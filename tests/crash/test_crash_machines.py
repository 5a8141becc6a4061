"""The process is killed while it makes, saves and removes virtual machines; nothing is lost."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.providers.libvirt.machines import of_lab
from pytest_kollalab.providers.libvirt.storage import Storage, lab_of
from pytest_kollalab.system.crash_points import VARIABLE
from pytest_kollalab.system.paths import default_paths
from tests.crash.tools import KOLLALAB

pytestmark = pytest.mark.usefixtures("images")
TINY, REAL = "crash-vt", "crash-vm"
TIMEOUT = 600

UP = ("up", "--until", "nodes", "--feature", "sfc")
DOWN = ("down", "--discard-saved")
GC = ("gc", "--yes", "--kind", "run", "--kind", "lab")
# The point, and what recovers from a kill there; the machines never get as far as to answer.
MAKING = (
    ("nodes:base-uploaded", DOWN),
    ("nodes:bridge-defined", DOWN),
    ("nodes:bridge-made", GC),
    ("nodes:bridges-made", DOWN),
    ("nodes:disks-made", GC),
    ("nodes:machine-defined", DOWN),
    ("nodes:machine-started", GC),
)
REMOVING = (
    ("nodes:machine-removed", DOWN),
    ("nodes:disk-removed", GC),
    ("nodes:machines-removed", DOWN),
    ("nodes:bridge-removed", GC),
)
# The point, the verb that is killed there, and the saved states that are left afterwards.
SAVING: tuple[tuple[str, str, list[str]], ...] = (
    ("saves:save-begun", "save", ["first"]),
    ("saves:paused", "save", ["first"]),
    ("saves:saved-one", "save", ["first"]),
    ("saves:saved", "save", ["first"]),
    ("saves:recorded", "save", ["first"]),
    ("saves:rollback-begun", "rollback", ["first"]),
    ("saves:restored-one", "rollback", ["first"]),
    ("saves:restored", "rollback", ["first"]),
    ("saves:restored-records", "rollback", ["first"]),
    ("saves:clear-begun", "clear", []),
    ("saves:cleared-one", "clear", []),
)
# Seen with a cloud only, which takes an hour on emulated machines.
WITH_CLOUD = ("saves:cloud-forgotten",)
POINTS = {row[0] for row in (*MAKING, *REMOVING, *SAVING)} | set(WITH_CLOUD)


@dataclass
class Lab:
    """A lab of machines, by the command line, with a state of its own."""

    name: str
    folder: Path
    settings: str

    def run(self, *words: str, crash_at: str = "") -> int:
        config = self.folder / "kollalab.toml"
        config.write_text(f"{self.settings}\n[run]\nprovider = 'libvirt'\n")
        verb, *more = words
        # Options come first: what follows a node's name is the command for it.
        options = ["--config", str(config), *([] if words == GC else ["--name", self.name])]
        argv = [str(KOLLALAB), verb, *options, *more]
        environment = {**os.environ, "KOLLALAB_STATE": str(self.folder), VARIABLE: crash_at}
        with (self.folder / "output").open("w") as sink:
            done = subprocess.run(
                argv, env=environment, stdout=sink, stderr=subprocess.STDOUT, timeout=TIMEOUT,
                check=False,
            )  # fmt: skip
        return done.returncode

    def said(self) -> str:
        return (self.folder / "output").read_text()

    def left(self) -> list[str]:
        host = LibvirtHost("")
        things = [t.name() for _, t in (*host.domains(self.name), *host.networks(self.name))]
        return [*things, *(name for name in Storage(host).names() if lab_of(name) == self.name)]

    def on_both(self, script: str) -> list[str]:
        found = []
        for node in ("controller-1", "compute-1"):
            assert self.run("ssh", node, script) == 0, self.said()
            found.append(self.said().strip())
        return found


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Lab]:
    """Machines whose disk holds nothing that starts; the image is another one each time."""
    image = tmp_path / "image.raw"
    image.write_bytes(os.urandom(510) + b"\0\0")
    checksum = hashlib.sha256(image.read_bytes()).hexdigest()
    size = "{ cpus = 1, memory = 64 }"
    lab = Lab(
        TINY,
        tmp_path,
        f"[nodes]\nimage = '{image}'\nchecksum = '{checksum}'\ndisk = 1\n"
        f"controller = {size}\ncompute = {size}",
    )
    yield lab
    lab.run(*DOWN)
    storage = Storage(LibvirtHost(""))
    base = f"base-{_digest(lab)}.qcow2"
    for name in (base, f"{base}.complete"):
        storage.remove(name)
    (default_paths().cache / "libvirt" / base).unlink(missing_ok=True)


def _digest(lab: Lab) -> str:
    from pytest_kollalab.providers.libvirt import image as libvirt_image
    from pytest_kollalab.settings.read import read

    config = read(lab.folder / "kollalab.toml").config
    return libvirt_image.name(config.nodes).removeprefix("base-").removesuffix(".qcow2")


@pytest.mark.parametrize(("point", "recovery"), MAKING)
def test_a_kill_while_machines_are_made(tiny: Lab, point: str, recovery: tuple[str, ...]) -> None:
    assert tiny.run(*UP, crash_at=point) == -signal.SIGKILL, tiny.said()
    assert tiny.run(*recovery) == 0, tiny.said()
    assert tiny.left() == []


@pytest.mark.parametrize(("point", "recovery"), REMOVING)
def test_a_kill_while_machines_are_removed(
    tiny: Lab, point: str, recovery: tuple[str, ...]
) -> None:
    assert tiny.run(*UP, crash_at="nodes:machine-started") == -signal.SIGKILL, tiny.said()
    assert tiny.run(*DOWN, crash_at=point) == -signal.SIGKILL, tiny.said()
    assert tiny.run(*recovery) == 0, tiny.said()
    assert tiny.left() == []


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Two machines that run."""
    size = "{ cpus = 1, memory = 768 }"
    folder = tmp_path_factory.mktemp("machines")
    lab = Lab(REAL, folder, f"[nodes]\ncontroller = {size}\ncompute = {size}")
    assert lab.run(*UP) == 0, lab.said()
    yield lab
    assert lab.run(*DOWN) == 0, lab.said()
    assert lab.left() == []


@pytest.mark.parametrize(("point", "verb", "left"), SAVING)
def test_a_kill_while_a_state_is_saved_or_brought_back(
    real: Lab, point: str, verb: str, left: list[str]
) -> None:
    booted = real.on_both("cat /proc/sys/kernel/random/boot_id")
    if "first" not in states(real):
        assert real.run("save", "first") == 0, real.said()
    real.on_both("touch /root/later")
    name = "second" if verb == "save" else "first"
    assert real.run(verb, name, crash_at=point) == -signal.SIGKILL, real.said()
    # Any verb that changes the lab mends it first; this one has nothing to do besides.
    assert real.run(*UP) == 0, real.said()
    assert "repaired" in real.said()
    assert states(real) == left
    assert real.on_both("cat /proc/sys/kernel/random/boot_id") == booted
    assert real.on_both("systemctl is-system-running") == ["running", "running"]
    later = real.on_both("ls /root")
    assert later == (["", ""] if verb == "rollback" else ["later", "later"])
    for told in real.on_both("date +%s"):
        assert abs(time.time() - int(told)) < 30


def states(lab: Lab) -> list[str]:
    """The saved states that are whole, by name; every machine has those and no other."""
    assert lab.run("show") == 0, lab.said()
    lines = [line.split() for line in lab.said().splitlines() if line.startswith("  saved")]
    names = [line[1] for line in lines]
    for domain in of_lab(LibvirtHost(""), lab.name).values():
        there = sorted(state.getName().split(".", 1)[0] for state in domain.listAllSnapshots())
        assert there == sorted(names), lab.said()
    return names
