"""A host for the job of a CI: a container with a system of its own, and nothing of ours in it."""

from __future__ import annotations

import io
import shlex
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from docker import DockerClient

from pytest_kollalab.providers import capabilities
from pytest_kollalab.providers.docker import spec
from pytest_kollalab.system import debian
from pytest_kollalab.system.digest import digest

HOME = PurePosixPath("/home/ci")
PROJECT = HOME / "project"
LABEL = "kollalab.test=ci"
REPOSITORY = "kollalab-test/ci"
UBUNTU = "http://archive.ubuntu.com/ubuntu"
# Of the package ubuntu-archive-keyring, which Debian has since 13.
KEYRING = "/usr/share/keyrings/ubuntu-archive-keyring.gpg"
# What a runner's host has before its first job.
PACKAGES = "apt,ca-certificates,iproute2,kmod,passwd,procps,python3,sudo"
SYSTEMD = "dbus,systemd,systemd-sysv"
# As in a node: what is set of the kernel is set for all. systemd and docker need the rest.
FIRST = r"""
set -eu
mount -o remount,bind,rw /sys
while read -r _ target type _; do
    case "$target $type" in
    "/sys/fs/cgroup "* | *" cgroup" | *" cgroup2") mount -o remount,bind,rw "$target" ;;
    esac
done </proc/self/mounts
for folder in /proc/sys/*; do
    [ "$folder" != /proc/sys/net ] || continue
    mount --bind "$folder" "$folder"
    mount -o remount,bind,ro,nosuid,nodev,noexec "$folder"
done
mount --make-rshared /
exec "$@"
"""


@dataclass(frozen=True)
class Suite:
    """A distribution's release: where its packages are.

    Attributes:
        name: `trixie` or `noble`, for example.
        sources: Lines of sources.list.
        keyring: The file with the keys that sign them, or None for the host's own.
    """

    name: str
    sources: tuple[str, ...]
    keyring: str | None = None


def suite(name: str, mirror: str, keyring: str = KEYRING) -> Suite:
    """The suite of that name, of Debian if it is not one of Ubuntu's.

    Args:
        name: Its name.
        mirror: Debian's mirror.
        keyring: The file with Ubuntu's keys.
    """
    if name not in ("jammy", "noble"):
        return Suite(name, tuple(debian.apt_sources(name, mirror)))
    parts = "main universe"
    pockets = (name, f"{name}-updates", f"{name}-security")
    lines = tuple(f"deb {UBUNTU} {pocket} {parts}" for pocket in pockets)
    return Suite(name, lines, keyring)


def image(client: DockerClient, of: Suite, *, systemd: bool) -> str:
    """The image of such a host; it is made if docker does not have it."""
    packages = f"{PACKAGES},{SYSTEMD}" if systemd else PACKAGES
    authorities = [path.read_bytes().hex() for path in debian.extra_cas()]
    name = f"{REPOSITORY}:{of.name}-{digest(packages, authorities, list(of.sources))}"
    if client.images.list(name):
        return name
    with tempfile.TemporaryDirectory() as folder:
        tar, extra = Path(folder) / "root.tar", Path(folder) / "extra.tar"
        extra.write_bytes(debian.extra_tar(debian.extra_cas()))
        # pip has certificate authorities of its own, unless it is told otherwise.
        pip = Path("/etc/pip.conf")
        subprocess.run(
            [
                "mmdebstrap",
                "--variant=minbase",
                "--format=tar",
                f"--include={packages}",
                '--aptopt=APT::Install-Recommends "false"',
                *(f"--dpkgopt={option}" for option in debian.DPKG_OPTIONS),
                *([f"--keyring={of.keyring}"] if of.keyring else []),
                f"--customize-hook=tar-in {shlex.quote(str(extra))} /",
                '--customize-hook=chroot "$1" update-ca-certificates',
                *([f"--customize-hook=copy-in {pip} /etc"] if pip.is_file() else []),
                # As on the machines of a CI: a user who may become root.
                '--customize-hook=chroot "$1" useradd --create-home --shell /bin/bash ci',
                "--customize-hook=echo 'ci ALL=(ALL) NOPASSWD:ALL' > \"$1\"/etc/sudoers.d/ci",
                of.name,
                str(tar),
                *of.sources,
            ],
            check=True,
        )
        label = f"--change=LABEL {LABEL}"
        subprocess.run(["docker", "import", label, tar, name], check=True, capture_output=True)
    return name


class Host:
    """A container that a job runs in, as if it were a machine.

    Args:
        container: Its id.
        user: Who runs the job: `root`, or `ci`, who may use sudo.
    """

    def __init__(self, container: str, user: str) -> None:
        self.container = container
        self.user = user

    def put(self, files: Mapping[str, bytes], folder: PurePosixPath = PROJECT) -> None:
        """Write files below a folder, as the user who runs the job."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name, data in files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), 0o644
                tar.addfile(member, io.BytesIO(data))
        owner = f"mkdir -p {folder} && tar --extract --directory {folder} --no-same-owner"
        self.run(owner, data=buffer.getvalue())

    def run(self, script: str, *, user: str = "", data: bytes = b"") -> None:
        """Run a script of bash; its output is shown as it comes. Raises CalledProcessError."""
        argv = ["docker", "exec", "--interactive", "--user", user or self.user, self.container]
        subprocess.run([*argv, "bash", "-c", script], input=data, check=True)

    def cancel(self) -> None:
        """Tell the programs of this project to end, as a system does whose job is cancelled."""
        self.run("pkill -TERM -f 'bin/(pytest|kollalab) ' || true", user="root")

    def pack(self, paths: Sequence[str], target: Path) -> None:
        """Pack files and folders of the project into a tar on this host."""
        argv = ["docker", "exec", "--user", self.user, self.container]
        tar = ["tar", "--create", "--directory", str(PROJECT), *paths]
        with target.open("wb") as file:
            subprocess.run([*argv, *tar], stdout=file, check=True)

    def put_packed(self, packed: Path) -> None:
        """Unpack such a tar into the project."""
        argv = ["docker", "exec", "--interactive", "--user", self.user, self.container]
        tar = ["tar", "--extract", "--directory", str(PROJECT)]
        with packed.open("rb") as file:
            subprocess.run([*argv, *tar], stdin=file, check=True)

    def succeeds(self, script: str, *, user: str = "") -> bool:
        """Whether a script ends with 0."""
        try:
            self.run(script, user=user)
        except subprocess.CalledProcessError:
            return False
        return True


@contextmanager
def running(
    client: DockerClient, name: str, *, systemd: bool, user: str, cpus: float = 0.0
) -> Iterator[Host]:
    """A host from an image; it is removed with everything in it.

    Args:
        client: The docker daemon.
        name: The image.
        systemd: Whether its first process is systemd, or one that does nothing.
        user: Who runs the job.
        cpus: The processors that it may use at most, behind everything else; 0 for no limit.
    """
    first = ["/lib/systemd/systemd"] if systemd else ["sleep", "infinity"]
    body: dict[str, Any] = {
        "Image": name,
        "Hostname": "ci",
        "Cmd": ["/bin/sh", "-c", FIRST, "first", *first],
        "Env": ["container=docker"],
        "StopSignal": "SIGRTMIN+3" if systemd else "SIGKILL",
        "Labels": dict([LABEL.split("=")]),
        # What a node gets too, which is all that `--privileged` would give.
        "HostConfig": {
            **spec.privileges(capabilities.missing_here()),
            # Without systemd nobody else would wait for what daemons leave.
            "Init": not systemd,
            "Mounts": [{"Type": "volume", "Target": "/var/lib/docker"}],
        },
    }
    if cpus:
        body["HostConfig"] |= {"NanoCpus": int(cpus * 1e9), "CpuShares": 100}
    api: Any = client.api
    container = api.create_container_from_config(body)["Id"]
    try:
        api.start(container)
        host = Host(container, user)
        if systemd:
            # It may be degraded: not all units of a distribution work in a container.
            booted = "systemctl is-system-running | grep -qE 'running|degraded'"
            host.run(f"for _ in $(seq 60); do ! {booted} || exit 0; sleep 1; done; exit 1")
        yield host
    finally:
        api.remove_container(container, v=True, force=True)


def remove_images(client: DockerClient) -> None:
    """Remove the images of such hosts."""
    for each in client.images.list(filters={"label": LABEL}):
        client.images.remove(str(each.id), force=True)


def about(host: Host) -> None:
    """Show what kind of host it is."""
    told = '"$PRETTY_NAME, $(id -un), first process $(cat /proc/1/comm)"'
    host.run(f". /etc/os-release; echo {told}")
