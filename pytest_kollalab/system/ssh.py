"""SSH to the nodes of a lab: keys, the ssh_config, and commands over one shared connection."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_kollalab.system import files
from pytest_kollalab.system.errors import CommandError, HostError
from pytest_kollalab.system.run import Result, run

CONNECT_TIMEOUT = 5
# The name of a socket has 107 characters at most. ssh adds 17 while it makes one, after the digest
# that names the connection and the name of the node.
LONGEST_FOLDER = 107 - 17 - len("/0123456789ab-") - len("controller-1234")


class Ssh:
    """Runs commands on the nodes that an ssh_config names; `ssh -F CONFIG NODE` does the same."""

    def __init__(self, config: Path) -> None:
        self.config = config

    @cached_property
    def _sockets(self) -> Path | None:
        """The folder with the sockets of shared connections, or None if there is no ssh_config."""
        with suppress(FileNotFoundError):
            for line in self.config.read_text(encoding="utf-8").splitlines():
                if line.strip().startswith("ControlPath "):
                    return Path(line.split(maxsplit=1)[1]).parent
        return None

    def argv(self, node: str, command: Sequence[str] = (), *, tty: bool = False) -> list[str]:
        """The command line; without a command it is an interactive shell.

        Raises:
            HostError: the folder of the shared connections is not this user's any more.
        """
        # Check at each use: the folder may have been removed and created by another user since.
        if self._sockets is not None:
            private(self._sockets)
        words = ["ssh", "-F", str(self.config)]
        if tty:
            words.append("-t")
        return [*words, node, *([shlex.join(command)] if command else [])]

    def run(self, node: str, command: Sequence[str], **options: Any) -> Result:
        """Run a command on a node as root; `options` are those of `run`."""
        return run(self.argv(node, command), **options)

    def close(self) -> None:
        """Close the shared connections; the next command opens new ones."""
        for node in _hosts(self.config):
            run(["ssh", "-F", self.config, "-O", "exit", node], check=False, timeout=5)


def make_key(path: Path, comment: str) -> None:
    """Make an ed25519 key pair without a passphrase at `path` and `path`.pub."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.unlink(missing_ok=True)
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path])


def write_config(
    path: Path,
    *,
    addresses: Mapping[str, str],
    key: Path,
    host_keys: Mapping[str, str],
    sockets: Path,
    connection: str,
    jump: str = "",
    patience: float = 1.0,
) -> None:
    """Write the ssh_config and, beside it, a known_hosts of the nodes' host keys.

    Args:
        path: where the ssh_config goes.
        addresses: the address of each node.
        key: the private key that the nodes accept.
        host_keys: the public host key of each node.
        sockets: the folder of the shared connections.
        connection: names the shared connections of this lab. A lab that is built again at the same
            addresses must not meet the sockets of the one before.
        jump: the ProxyCommand through which the nodes are reached, if they are not next to us.
        patience: multiplies the seconds that a connection may take.
    """
    known_hosts = path.parent / "known_hosts"
    files.write(known_hosts, known_hosts_text(addresses, host_keys))
    text = config_text(addresses, key, known_hosts, sockets, connection, patience)
    files.write(path, text + (f"    ProxyCommand {jump}\n" if jump else ""))


def known_hosts_text(addresses: Mapping[str, str], host_keys: Mapping[str, str]) -> str:
    """A known_hosts file: both the name and the address of each node."""
    return "".join(
        f"{node},{address} {' '.join(host_keys[node].split()[:2])}\n"
        for node, address in addresses.items()
    )


def config_text(
    addresses: Mapping[str, str],
    key: Path,
    known_hosts: Path,
    sockets: Path,
    connection: str,
    patience: float = 1.0,
) -> str:
    """An ssh_config that reaches the nodes by name and is complete in itself."""
    blocks = [f"Host {node}\n    HostName {address}\n" for node, address in addresses.items()]
    blocks.append(
        "Host *\n"
        "    User root\n"
        f'    IdentityFile "{key}"\n'
        "    IdentitiesOnly yes\n"
        "    StrictHostKeyChecking yes\n"
        f'    UserKnownHostsFile "{known_hosts}"\n'
        "    GlobalKnownHostsFile none\n"
        "    HostKeyAlgorithms ssh-ed25519\n"
        "    PreferredAuthentications publickey\n"
        f"    ConnectTimeout {CONNECT_TIMEOUT * patience:.0f}\n"
        "    ServerAliveInterval 15\n"
        "    ControlMaster auto\n"
        "    ControlPersist 10m\n"
        f"    ControlPath {sockets}/{connection}-%n\n"
        "    LogLevel ERROR\n"
    )
    return "\n".join(blocks)


def control_folders(state: Path) -> tuple[Path, ...]:
    """The folders in which the sockets of shared connections may be, the preferred one first."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    found = [state / "ssh", *([Path(runtime, "kollalab")] if runtime else [])]
    return (*found, Path("/tmp") / f"kollalab-{os.getuid()}")


def control_folder(state: Path) -> Path:
    """The first of these folders whose path is short enough for the name of a socket.

    Raises:
        HostError: Another user owns the folder or can use it.
    """
    fitting = (each for each in control_folders(state) if len(str(each)) <= LONGEST_FOLDER)
    return private(next(fitting))


def private(folder: Path) -> Path:
    """Create a folder if it does not exist, check that only this user can use it, and return it.

    Raises:
        HostError: Another user owns the folder or can use it.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise HostError(
            f"{folder} is not a private folder of this user",
            details="connections to the nodes could be taken over through it",
            hint=f"remove {folder}",
        )
    return folder


def close(config: Path) -> None:
    """Close the shared connections of an ssh_config that may not be there any more."""
    if config.is_file():
        with suppress(CommandError):
            Ssh(config).close()


def _hosts(config: Path) -> list[str]:
    lines = config.read_text(encoding="utf-8").splitlines()
    names = [line.split()[1] for line in lines if line.startswith("Host ")]
    return [name for name in names if name != "*"]
