"""The guest image: built from Debian's kernel and busybox, and kept in the cache by its key."""

from __future__ import annotations

import fcntl
import hashlib
import os
from importlib.resources import files
from pathlib import Path

from pytest_kollalab.system import debian, temporary
from pytest_kollalab.system.errors import CommandError, KollalabError
from pytest_kollalab.system.run import run

MIRROR = "http://deb.debian.org/debian"
SUITE = "trixie"

# Increased when the image changes without a change in `files`.
VERSION = 1

PACKAGES = (
    "linux-image-cloud-amd64",
    "busybox-static",
    "dropbear-bin",
    "syslinux",
    "syslinux-common",
    "mtools",
    # Commands that the build script itself calls.
    "bash",
    "cpio",
    "dash",
    "findutils",
    "grep",
    "kmod",
    "libc-bin",
    "sed",
    "xz-utils",
)

# Packages are only unpacked, so base-files does not create the links of a merged /usr.
MERGED_USR = 'for d in bin sbin lib lib64; do mkdir -p "$1/usr/$d"; ln -s "usr/$d" "$1/$d"; done'


def guest_image(cache: Path, *, mirror: str = MIRROR, suite: str = SUITE) -> Path:
    """The guest's disk image (raw, 37 MiB, boots with a PC BIOS), built if it is not cached.

    A build takes about 15 s and needs root. The guest needs virtio devices. It gets its address,
    MTU and routes by DHCP, and its name, keys and script from the metadata service. It serves SSH
    (user root, port 22), its host name over HTTP (port 80, path /hostname) and echo (port 7).

    Args:
        cache: The cache folder.
        mirror: The Debian mirror for the packages.
        suite: The Debian release.

    Raises:
        KollalabError: The build failed; the error names its log.
    """
    folder = cache / "guest"
    folder.mkdir(parents=True, exist_ok=True)
    image = folder / f"{_key(mirror, suite)}.img"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            _build(image, mirror, suite)
    return image


def build_argv(sources: Path, target: Path, mirror: str, suite: str) -> list[str]:
    """The command that unpacks the packages, builds in them and copies guest.img to `target`."""
    return [
        "mmdebstrap",
        "--variant=extract",
        *debian.keyring(),
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Acquire::Retries "3"',
        f"--setup-hook={MERGED_USR}",
        f"--extract-hook=copy-in {sources} /",
        '--extract-hook=chroot "$1" sh /files/build',
        f"--extract-hook=copy-out /guest.img {target}",
        "--format=null",
        suite,
        "-",
        mirror,
    ]


def _key(mirror: str, suite: str) -> str:
    digest = hashlib.sha256(f"{VERSION} {mirror} {suite} {PACKAGES} {MERGED_USR}".encode())
    for entry in sorted(_sources().iterdir()):
        digest.update(f"\n{entry.name}\n".encode() + entry.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Path:
    return Path(str(files("pytest_kollalab.features.compute.guest") / "files"))


def _build(image: Path, mirror: str, suite: str) -> None:
    log = image.with_suffix(".log")
    log.unlink(missing_ok=True)
    with temporary.scratch(image.parent, "guest") as scratch:
        try:
            run(build_argv(_sources(), Path(scratch), mirror, suite), log_file=log, timeout=900)
        except CommandError as error:
            raise KollalabError(
                "the guest image could not be built",
                details=error.details,
                hint=f"is {mirror} reachable, and does it have {suite}?",
                log=log,
            ) from error
        os.replace(Path(scratch, "guest.img"), image)
