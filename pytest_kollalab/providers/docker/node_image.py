"""The node image: a Debian with systemd, sshd and docker, made by mmdebstrap, known by its spec."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.providers.docker.spec import NODE_IMAGES
from pytest_kollalab.system import daemon, debian, locks, temporary
from pytest_kollalab.system.digest import digest
from pytest_kollalab.system.errors import CommandError, StageError
from pytest_kollalab.system.run import run

if TYPE_CHECKING:
    from docker import DockerClient

    from pytest_kollalab.providers.docker.host import DockerHost

LABEL = "kollalab.stage=nodes"
VERSION = 1
PACKAGES = (
    "apt",
    "ca-certificates",
    "dbus",
    "docker-cli",
    "docker.io",
    "ethtool",
    "iproute2",
    "iptables",
    "iputils-ping",
    "ncat",
    "openssh-server",
    "procps",
    "python3",
    "python3-dbus",
    "python3-docker",
    "python3-requests",
    "socat",
    "sudo",
    "systemd",
    "systemd-sysv",
    "tcpdump",
    "traceroute",
    "tzdata",
)
# Units that cannot work in a container, or would start during a test.
MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "getty.target",
    "systemd-modules-load.service",
)


def spec(suite: str) -> dict[str, Any]:
    """What the image is made from, as JSON; without the host's own certificate authorities."""
    return {
        "version": VERSION,
        "suite": suite,
        "packages": list(PACKAGES),
        "masked": list(MASKED),
    }


def reference(suite: str) -> str:
    """The name of the image: repository and tag."""
    cas = [hashlib.sha256(path.read_bytes()).hexdigest() for path in debian.extra_cas()]
    return f"{NODE_IMAGES}:{digest(spec(suite), cas)}"


def exists(client: DockerClient, suite: str) -> bool:
    """Whether docker has the image."""
    from docker.errors import ImageNotFound

    try:
        client.images.get(reference(suite))
    except ImageNotFound:
        return False
    return True


def ensure_image(
    host: DockerHost,
    suite: str,
    mirror: str,
    cache: Path,
    log: Path,
    say: Callable[[str], None],
) -> str:
    """Build the image if needed and return its name; of several callers at once, one builds it.

    `mirror` is a Debian mirror; progress goes to the file `log`. Raises StageError when
    mmdebstrap fails.
    """
    name = reference(suite)
    if exists(host.client, suite):
        return name
    with locks.exclusive(cache / "node-image.lock", "build the node image", waiting=say):
        if exists(host.client, suite):
            return name
        if host.uri and exists(daemon.connect(), suite):
            say(f"the node image, to {host.uri}")
            data: Any = daemon.connect().images.get(name).save(named=True)
            host.client.images.load(data)
            return name
        say("the node image")
        debian.check_mirror(suite, mirror)
        with temporary.scratch(cache, "node-image") as folder:
            tar = Path(folder) / "rootfs.tar"
            try:
                run(mmdebstrap(suite, mirror, tar, debian.extra_cas()), log_file=log)
                label = f"--change=LABEL {LABEL}"
                host.daemon.run(["import", label, tar, name], log_file=log)
            except CommandError as error:
                raise StageError(
                    "the image of the nodes could not be built",
                    details=error.details,
                    hint=f"is the Debian mirror {mirror} reachable? "
                    "Another one is named with `mirror` under [run] in kollalab.toml",
                    log=log,
                ) from error
    return name


def mmdebstrap(suite: str, mirror: str, target: Path, cas: list[Path]) -> list[str]:
    """The command that makes the root file system as a tar."""
    argv = [
        "mmdebstrap",
        "--variant=essential",
        *debian.keyring(),
        "--format=tar",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--dpkgopt={option}" for option in debian.DPKG_OPTIONS),
    ]
    for path in cas:
        argv.append(f"--customize-hook=copy-in {shlex.quote(str(path))} {debian.EXTRA_CAS}")
    if cas:
        argv.append('--customize-hook=chroot "$1" update-ca-certificates')
    argv += [
        f'--customize-hook=chroot "$1" systemctl mask {" ".join(MASKED)}',
        # Each lab has host keys of its own.
        '--customize-hook=rm -f "$1"/etc/ssh/ssh_host_*',
        '--customize-hook=mkdir -p "$1"/lib/modules "$1"/etc/kolla',
        suite,
        str(target),
        *debian.apt_sources(suite, mirror),
    ]
    return argv
