"""Tests on the real host: one after the other, whatever number of workers runs the rest."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from pytest_kollalab.settings.config import Options
from pytest_kollalab.stages.images import registry
from pytest_kollalab.system import debian as base
from pytest_kollalab.system import ssh
from pytest_kollalab.system.paths import default_paths
from pytest_kollalab.system.wait import until

HERE = Path(__file__).parent
USER = "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
PRIVILEGES = Path("/run/sshd")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # First of all hooks: pytest-xdist reads the group in this hook too.
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.xdist_group("host"))


def fetched(folder: Path) -> tuple[Path, dict[str, str]]:
    """The sshd of the distribution, unpacked and not installed, and the environment it needs."""
    # An installed one would listen on all of the host's addresses.
    fetch = ["apt-get", "-q", "download", "openssh-server", "libwrap0"]
    subprocess.run(fetch, cwd=folder, check=True, capture_output=True)
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    libraries = [str(path.parent) for path in folder.rglob("libwrap.so.0")]
    return folder / "usr" / "sbin" / "sshd", {"LD_LIBRARY_PATH": ":".join(libraries)}


@dataclass(frozen=True)
class Loopback:
    """A port of the loopback where SSH leads to this host, and the client that may use it."""

    port: int
    client: Path


@pytest.fixture(scope="session")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    """An sshd of the test's own on a high port of the loopback."""
    folder = tmp_path_factory.mktemp("sshd")
    here = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    program, needed = (Path(here), {}) if here else fetched(folder)
    for name in ("host", "user"):
        ssh.make_key(folder / name, name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {folder}/user.pub\nStrictModes no\nPermitRootLogin yes\n"
        "PasswordAuthentication no\nMaxStartups 100\n"
    )
    # In a mount namespace of its own it finds the user that it wants to have, and nobody else does.
    passwd = Path("/etc/passwd").read_text()
    (folder / "passwd").write_text(passwd + ("" if "\nsshd:" in passwd else USER))
    had = PRIVILEGES.is_dir()
    PRIVILEGES.mkdir(exist_ok=True)
    script = 'mount --bind "$1" /etc/passwd && shift && exec "$@"'
    argv: list[str | Path] = ["unshare", "--mount", "sh", "-c", script, "sh", folder / "passwd"]
    argv += [program, "-D", "-e", "-f", folder / "sshd_config"]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen(argv, stderr=log, env={**os.environ, **needed})
    try:
        public = (folder / "host.pub").read_text()
        (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {public}")
        (folder / "config").write_text(
            f"Host *\n  IdentityFile {folder}/user\n  UserKnownHostsFile {folder}/known_hosts\n"
            "  StrictHostKeyChecking yes\n  BatchMode yes\n"
        )
        client = folder / "ssh"
        client.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/config "$@"\n')
        client.chmod(0o700)

        def listens() -> bool:
            assert daemon.poll() is None, (folder / "log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until("sshd listens", listens, timeout=20, interval=0.1)
        yield Loopback(port, client)
    finally:
        daemon.terminate()
        daemon.wait(20)
        if not had:
            PRIVILEGES.rmdir()


@pytest.fixture(scope="session")
def registry_image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The registry's image, the one that labs on this host use."""
    client, log = docker.from_env(), tmp_path_factory.mktemp("image") / "log"
    cache = default_paths().cache / "images"
    debian = base.ensure(client, "trixie", Options().mirror, cache, log)
    return registry.ensure_image(client, debian, log)
