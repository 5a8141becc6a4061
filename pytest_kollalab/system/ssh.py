"""SSH to the nodes of a lab: keys, the ssh_config, and commands over one shared connection."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_kollalab.system import activity, files
from pytest_kollalab.system.errors import CommandError, HostError, NoNodeError
from pytest_kollalab.system.run import Result, run

CONNECT_TIMEOUT = 5
# The path of a socket may have 107 characters. It consists of the folder, the digest that names the
# connection, the name of the node, and 17 characters that ssh adds while it creates the socket.
LONGEST_FOLDER = 107 - 17 - len("/0123456789ab-") - len("controller-1234")


class Ssh:
    """Runs commands on the nodes of an ssh_config, like `ssh -F CONFIG NODE`."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._nodes: tuple[str, ...] = ()

    @cached_property
    def _sockets(self) -> Path | None:
        """The folder with the sockets of shared connections, or None if there is no ssh_config."""
        with suppress(FileNotFoundError):
            for line in self.config.read_text(encoding="utf-8").splitlines():
                if line.strip().startswith("ControlPath "):
                    value = line.split(maxsplit=1)[1]
                    return Path(value.strip('"').replace("%%", "%")).parent
        return None

    def check(self, node: str) -> None:
        """Raise NoNodeError if the ssh_config has nodes, and none of this name."""
        if node not in self._nodes:
            with suppress(FileNotFoundError):
                self._nodes = tuple(_hosts(self.config))
        if self._nodes and node not in self._nodes:
            raise NoNodeError(node, self._nodes)

    def argv(self, node: str, command: Sequence[str] = (), *, tty: bool = False) -> list[str]:
        """The ssh command line. Without a command it opens an interactive shell.

        Raises:
            HostError: Another user owns the folder of the shared connections or can use it.
            NoNodeError: There is no such node.
        """
        activity.note()
        self.check(node)
        # Check at each use: the folder may have been removed and created by another user since.
        if self._sockets is not None:
            private(self._sockets)
        words = ["ssh", "-F", str(self.config)]
        if tty:
            words.append("-t")
        return [*words, node, *([shlex.join(command)] if command else [])]

    def run(self, node: str, command: Sequence[str], **options: Any) -> Result:
        """Run a command on a node as root. `options` are those of `system.run.run`."""
        return run(self.argv(node, command), **options)

    def close(self) -> None:
        """Close the shared connections. The next command opens new ones."""
        for node in _hosts(self.config):
            run(["ssh", "-F", self.config, "-O", "exit", node], check=False, timeout=5)


def make_key(path: Path, comment: str) -> None:
    """Make an ed25519 key pair without a passphrase at `path` and `path`.pub."""
    files.private(path.parent)
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
    """Write an ssh_config, and a known_hosts with the nodes' host keys in the same folder.

    Args:
        path: The ssh_config to write.
        addresses: The address of each node.
        key: The private key that the nodes accept.
        host_keys: The public host key of each node.
        sockets: The folder of the shared connections.
        connection: The name of this lab's shared connections. A lab that is built again at the same
            addresses must not use the sockets of the previous one.
        jump: The ProxyCommand to reach the nodes, if they are on another host.
        patience: A factor for the connection timeout.
    """
    known_hosts = path.parent / "known_hosts"
    files.write(known_hosts, known_hosts_text(addresses, host_keys))
    text = config_text(addresses, key, known_hosts, sockets, connection, patience)
    files.write(path, text + (f"    ProxyCommand {jump}\n" if jump else ""))


def known_hosts_text(addresses: Mapping[str, str], host_keys: Mapping[str, str]) -> str:
    """The text of a known_hosts file with the name and the address of each node."""
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
    """The text of an ssh_config that reaches the nodes by name, independent of other files."""
    blocks = [f"Host {node}\n    HostName {address}\n" for node, address in addresses.items()]
    blocks.append(
        "Host *\n"
        "    User root\n"
        f"    IdentityFile {_quoted(key)}\n"
        "    IdentitiesOnly yes\n"
        "    StrictHostKeyChecking yes\n"
        f"    UserKnownHostsFile {_quoted(known_hosts)}\n"
        "    GlobalKnownHostsFile none\n"
        "    HostKeyAlgorithms ssh-ed25519\n"
        "    PreferredAuthentications publickey\n"
        f"    ConnectTimeout {CONNECT_TIMEOUT * patience:.0f}\n"
        "    ServerAliveInterval 15\n"
        "    ControlMaster auto\n"
        "    ControlPersist 10m\n"
        f"    ControlPath {_quoted(sockets, f'/{connection}-%n')}\n"
        "    LogLevel ERROR\n"
    )
    return "\n".join(blocks)


def _quoted(path: Path, more: str = "") -> str:
    """A path as a value of ssh_config, where % begins a token. `more` is added as it is."""
    return f'"{str(path).replace("%", "%%")}{more}"'


def control_folders(state: Path) -> tuple[Path, ...]:
    """The possible folders for the sockets of shared connections, the preferred one first."""
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
    files.private(folder)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise HostError(
            f"{folder} is not a private folder of this user",
            details="connections to the nodes could be taken over through it",
            hint=f"remove {folder}",
        )
    return folder


def close(config: Path) -> None:
    """Close the shared connections of an ssh_config, if it exists."""
    if config.is_file():
        with suppress(CommandError):
            Ssh(config).close()


def _hosts(config: Path) -> list[str]:
    lines = config.read_text(encoding="utf-8").splitlines()
    names = [line.split()[1] for line in lines if line.startswith("Host ")]
    return [name for name in names if name != "*"]
