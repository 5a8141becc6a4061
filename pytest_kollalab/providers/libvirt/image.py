"""The base image of machines: a Debian made by mmdebstrap, or a cloud image with a checksum."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

from pytest_kollalab.providers.docker.node_image import PACKAGES as SHARED
from pytest_kollalab.settings.config import NodesConfig
from pytest_kollalab.system import debian, files, locks
from pytest_kollalab.system import temporary as leftovers
from pytest_kollalab.system.digest import digest, sha256_of
from pytest_kollalab.system.errors import CommandError, ConfigError, StageError
from pytest_kollalab.system.run import run

VERSION = 1
# Of images, in the cache.
FOLDER = "libvirt"
GIB = 2**30
SECTOR = 512
# Where the one partition begins; the boot loader fits before it.
START = 2048
LABEL = "kollalab"
PACKAGES = (
    *SHARED,
    "bash",
    "cloud-init",
    "e2fsprogs",
    "grub-common",
    "grub-pc-bin",
    "initramfs-tools",
    "kmod",
    "linux-image-cloud-amd64",
    "udev",
)
OWN = ("build", "cloud.cfg", "grub.cfg", "modprobe.conf")
AS_CONTAINER = ("journald.conf", "sshd.conf")
# A virtual machine finds its disk with these; all of the kernel's drivers take longer to load.
INITRAMFS = (
    'mkdir -p "$1"/etc/initramfs-tools/conf.d "$1"/usr/share/initramfs-tools/modules.d && '
    'echo MODULES=list > "$1"/etc/initramfs-tools/conf.d/kollalab && '
    r'printf "virtio_pci\nvirtio_blk\next4\n" > "$1"/usr/share/initramfs-tools/modules.d/kollalab'
)
FOLDERS = 'mkdir -p "$1"/kollalab "$1"/etc/systemd/journald.conf.d "$1"/etc/ssh/sshd_config.d'
CHUNK = 1 << 20
TIMEOUT = 60.0


def spec(nodes: NodesConfig) -> dict[str, Any]:
    """What the image is made from, as JSON; pure."""
    if nodes.image:
        return {"version": VERSION, "sha256": checksum(nodes)}
    return {
        "version": VERSION,
        "suite": nodes.suite,
        "packages": list(PACKAGES),
        "disk": nodes.disk,
        "files": digest(packaged_files()),
        "initramfs": INITRAMFS,
    }


def name(nodes: NodesConfig) -> str:
    """The name of the image in the cache and in libvirt's storage."""
    cas = [] if nodes.image else [hashlib.sha256(p.read_bytes()).hexdigest() for p in _cas()]
    return f"base-{digest(spec(nodes), cas)}.qcow2"


def checksum(nodes: NodesConfig) -> str:
    """The SHA-256 of the image that the configuration names. Raises ConfigError without one."""
    found = nodes.checksum.removeprefix("sha256:").lower()
    if len(found) != 64 or set(found) - set("0123456789abcdef"):
        raise ConfigError(
            "nodes.image needs nodes.checksum, the SHA-256 of the image",
            details=f"it is {nodes.checksum!r}" if nodes.checksum else "there is none",
            hint=f"write what `sha256sum {Path(nodes.image).name}` prints, or what its makers say",
        )
    return found


def packaged_files() -> dict[str, str]:
    """The text of each file that goes into our own image."""
    folder = resources.files("pytest_kollalab.providers")
    found = {name: folder / "libvirt" / "node" / name for name in OWN}
    found |= {name: folder / "docker" / "node" / name for name in AS_CONTAINER}
    return {name: path.read_text(encoding="utf-8") for name, path in found.items()}


def is_there(nodes: NodesConfig, cache: Path) -> bool:
    """Whether the image is in the cache."""
    return (cache / FOLDER / name(nodes)).is_file()


def ensure(
    nodes: NodesConfig, mirror: str, cache: Path, log: Path, say: Callable[[str], None]
) -> Path:
    """Make the image if needed and return its path; of several callers at once, one makes it.

    Raises ConfigError for a checksum that is missing, StageError for one that is wrong and when
    the image cannot be had.
    """
    folder = cache / FOLDER
    image = folder / name(nodes)
    if image.is_file():
        files.used(image)
        return image
    folder.mkdir(parents=True, exist_ok=True)
    with locks.exclusive(folder / "image.lock", "make the machines' image", waiting=say):
        if image.is_file():
            return image
        say("the machines' image")
        with leftovers.scratch(folder, "image") as scratch:
            made = Path(scratch) / "image.qcow2"
            if nodes.image:
                fetch(nodes, Path(scratch) / "fetched", made)
            else:
                build(nodes, mirror, Path(scratch), made, log)
            os.replace(made, image)
    return image


def virtual_size(image: Path) -> int:
    """The size of the disk that the image is of, in bytes."""
    said = run(["qemu-img", "info", "--output=json", "--force-share", image]).stdout
    return int(json.loads(said)["virtual-size"])


def fetch(nodes: NodesConfig, temporary: Path, target: Path) -> None:
    """Have the named image as qcow2, if it is what its checksum says."""
    wanted = checksum(nodes)
    source = Path(nodes.image)
    if "://" in nodes.image:
        source = temporary
        _download(nodes.image, source)
    if not source.is_file():
        raise ConfigError(f"there is no image {source}", hint="check nodes.image in kollalab.toml")
    found = sha256_of(source)
    if found != wanted:
        raise StageError(
            f"{nodes.image} is not the image that it should be",
            details=f"its SHA-256 is {found}, nodes.checksum says {wanted}",
            hint="get it again, or correct nodes.checksum if its makers published another one",
        )
    run(["qemu-img", "convert", "-O", "qcow2", source, target])


def build(nodes: NodesConfig, mirror: str, work: Path, target: Path, log: Path) -> None:
    """Make our own image: a tree by mmdebstrap, a file system of it, a boot loader before it."""
    if os.geteuid() != 0:
        raise StageError(
            "the machines' image can only be made by root",
            details="the tree that becomes its file system has files of many owners",
            hint="run this once as root, with KOLLALAB_CACHE the same, or name a cloud image with "
            "nodes.image in kollalab.toml",
        )
    tree, disk = work / "root", work / "disk.img"
    for name, text in packaged_files().items():
        (work / name).write_text(text, encoding="utf-8")
    try:
        run(mmdebstrap(nodes.suite, mirror, work, tree, _cas()), log_file=log)
        size = nodes.disk * GIB
        with disk.open("wb") as file:
            file.truncate(size)
        run(mke2fs(tree, disk, size), log_file=log)
        with disk.open("r+b") as file:
            file.write(boot_record((work / "boot.img").read_bytes(), size // SECTOR))
            file.write((work / "core.img").read_bytes())
        run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, target], log_file=log)
    except CommandError as error:
        raise StageError(
            "the machines' image could not be made",
            details=error.details,
            hint=f"is the Debian mirror {mirror} reachable? "
            "Another one is named with `mirror` under [run] in kollalab.toml",
            log=log,
        ) from error


def mmdebstrap(suite: str, mirror: str, work: Path, tree: Path, cas: list[Path]) -> list[str]:
    """The command that makes the root file system, and leaves GRUB's two parts in `work`."""
    own = shlex.join(str(work / name) for name in (*OWN, *AS_CONTAINER))
    names = map(shlex.quote, map(str, cas))
    trust = [f"--customize-hook=copy-in {name} {debian.EXTRA_CAS}" for name in names]
    if cas:
        trust.append('--customize-hook=chroot "$1" update-ca-certificates')
    return [
        "mmdebstrap",
        "--variant=essential",
        *debian.keyring(),
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt={option}" for option in debian.DPKG_OPTIONS),
        f"--essential-hook={INITRAMFS}",
        *trust,
        f"--customize-hook={FOLDERS}",
        f"--customize-hook=copy-in {own} /kollalab",
        '--customize-hook=chroot "$1" sh /kollalab/build',
        f"--customize-hook=copy-out /kollalab/boot.img /kollalab/core.img {shlex.quote(str(work))}",
        '--customize-hook=rm -r "$1"/kollalab',
        suite,
        str(tree),
        *debian.apt_sources(suite, mirror),
    ]


def mke2fs(tree: Path, disk: Path, size: int) -> list[str | Path]:
    """The command that puts a file system of the tree behind the boot loader of a disk."""
    offset = START * SECTOR
    options = f"offset={offset},lazy_itable_init=1,lazy_journal_init=1"
    return [
        *("mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-J", "size=64", "-E", options),
        *("-d", tree, disk, f"{(size - offset) // 1024}k"),
    ]  # fmt: skip


def boot_record(boot: bytes, sectors: int) -> bytes:
    """The first sector: GRUB's code and a table with one active partition up to the end."""
    entry = struct.pack(
        "<B3sB3sII", 0x80, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", START, sectors - START
    )
    # GRUB's part ends before the table; what it has there is for floppies.
    return boot[:440].ljust(446, b"\0") + entry.ljust(64, b"\0") + b"\x55\xaa"


def _cas() -> list[Path]:
    return debian.extra_cas()


def _download(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer, target.open("wb") as file:
            while data := answer.read(CHUNK):
                file.write(data)
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise StageError(
            f"{url} could not be fetched",
            details=str(error),
            hint="check the network and proxies, or name a file with nodes.image",
        ) from error
