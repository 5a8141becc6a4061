"""Network namespaces on a node, which hold devices of Open vSwitch and run commands."""

from __future__ import annotations

import base64
import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING
from zlib import crc32

from pytest_kollalab.system import wait
from pytest_kollalab.system.names import fitting
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.system.run import Result
    from pytest_kollalab.system.ssh import Ssh

FOLDER = "/run/kollalab"
VSWITCHD = "openvswitch_vswitchd"
# The name is that of a file, and part of the names of units (255 bytes) that run in the namespace.
LONGEST = 150
LONGEST_UNIT = 220
_numbers = count(1)


def namespace_name(project: str, name: str) -> str:
    """The name of a project's namespace on a node, where `ip netns` makes a file of it.

    Args:
        project: The name of the project.
        name: A name of any length and of any characters, unique in the project.
    """
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
    if plain != name:
        # Two names must not become one.
        plain += f"-{crc32(name.encode()):08x}"
    return fitting(f"kl-{project}-{plain}", LONGEST)


# Builds the arguments of ovs-vsctl that add a port.
ROW = """
set -- add-port "$bridge" "$device" -- set Interface "$device" type=internal "mac=\\"$mac\\""
if [ "$port" != - ]; then
    set -- "$@" "external_ids:iface-id=$port" "external_ids:attached-mac=$mac" \\
        external_ids:iface-status=active
fi
"""

PLUG = (
    """
namespace=$1 bridge=$2 device=$3 mac=$4 port=$5 mtu=$6 address=$7 gateway=$8
if ! ip netns pids "$namespace" > /dev/null 2>&1; then
    ip netns add "$namespace"
    # The kernel has it from the host, where docker switches it on.
    ip netns exec "$namespace" sysctl -qw net.ipv4.ip_forward=0
fi
"""
    + ROW
    + """
docker exec openvswitch_vswitchd ovs-vsctl --timeout=30 --may-exist "$@"
ip link set "$device" netns "$namespace"
ip -n "$namespace" link set lo up
ip -n "$namespace" link set "$device" address "$mac" mtu "$mtu" up
ip -n "$namespace" address replace "$address" dev "$device"
if [ "$gateway" != - ]; then
    ip -n "$namespace" route replace default via "$gateway"
fi
# The switch in user space passes on what it reads: checksums have to be finished before.
ip netns exec "$namespace" ethtool -K "$device" tx off > /dev/null
"""
)

# In one transaction, so that the switch keeps the device but the agent sees a new port.
AGAIN = (
    """
bridge=$1 device=$2 mac=$3 port=$4
"""
    + ROW
    + """
docker exec openvswitch_vswitchd ovs-vsctl --timeout=30 del-port "$bridge" "$device" -- "$@"
"""
)

# Units and processes first: the kernel keeps a namespace while a process runs in it.
REMOVE = """
namespace=$1
shift
systemctl stop --quiet "kollalab-$namespace-*" 2> /dev/null || true
set -- $(for device in "$@"; do printf '%s ' -- --if-exists del-port "$device"; done)
[ $# -eq 0 ] || docker exec openvswitch_vswitchd ovs-vsctl --timeout=30 "$@"
if ip netns pids "$namespace" > /dev/null 2>&1; then
    ip netns pids "$namespace" | xargs -r kill -9
    ip netns delete "$namespace"
fi
rm -rf "/run/kollalab/$namespace"
"""


@dataclass(frozen=True)
class Namespace:
    """A network namespace on a node, by name; it does not have to exist yet."""

    ssh: Ssh
    node: str
    name: str

    @property
    def entered(self) -> tuple[str, ...]:
        """The prefix of a command that makes it run in the namespace."""
        return ("ip", "netns", "exec", self.name)

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | None = None,
        check: bool = True,
        timeout: float | None = 60,
    ) -> Result:
        """Run a command in the namespace.

        Args:
            argv: The command.
            input: Text for its standard input.
            check: Whether a command that fails is an error.
            timeout: Seconds.

        Raises:
            CommandError: The command fails, and `check` is true.
        """
        inside = [*self.entered, *argv]
        return self.ssh.run(self.node, inside, input=input, check=check, timeout=timeout)

    def script(self, text: str, *words: str, check: bool = True) -> Result:
        """Run a shell script on the node, outside the namespace; `words` are its $1, $2 and so on.

        Raises:
            CommandError: The script fails, and `check` is true.
        """
        argv = ["sh", "-eu", "-s", "--", *words]
        return self.ssh.run(self.node, argv, input=text, check=check, timeout=120)

    def plug(
        self,
        device: str,
        *,
        bridge: str,
        mac: str,
        mtu: int,
        address: str,
        gateway: str | None = None,
        port: str | None = None,
    ) -> None:
        """Add a port to a bridge and move its device into the namespace.

        The namespace is created if it does not exist.

        Args:
            device: The name of the device.
            bridge: The bridge on the node.
            mac: The MAC address of the device.
            mtu: The MTU of the device, in bytes.
            address: The IPv4 address with its prefix length.
            gateway: The default gateway, if any.
            port: The id of the Neutron port that the device belongs to, if any.
        """
        words = (bridge, device, mac, port or "-", str(mtu), address, gateway or "-")
        self.script(PLUG, self.name, *words)

    def announce(self, device: str, *, bridge: str, mac: str, port: str) -> None:
        """Make Neutron's agent see a plugged port as a new one; its device stays as it is."""
        self.script(AGAIN, bridge, device, mac, port)

    def remove(self, devices: Sequence[str]) -> None:
        """Remove the namespace, its processes and devices. What does not exist is ignored."""
        self.script(REMOVE, self.name, *devices)

    @contextmanager
    def background(
        self, what: str, argv: Sequence[str], *, ready: str, files: dict[str, str] | None = None
    ) -> Iterator[Background]:
        """Run a command in the namespace, as a unit of the node's systemd, until the block ends.

        Args:
            what: A word for the name of the unit.
            argv: The command.
            ready: A regular expression. The block starts when it matches the command's standard
                error.
            files: The contents of files in the command's working directory, by name.

        Raises:
            WaitError: The command ends, or is not ready in time.
        """
        unit = fitting(f"kollalab-{self.name}-{what}-{next(_numbers)}", LONGEST_UNIT)
        running = Background(self, unit, f"{FOLDER}/{self.name}/{unit}")
        running.start(argv, files or {})
        try:
            running.await_line(ready)
            yield running
            running.stop()
        finally:
            running.remove()


@dataclass(frozen=True)
class NodeItself(Namespace):
    """The node's own network namespace. The name is used for units that run there."""

    name: str = "host"

    @property
    def entered(self) -> tuple[str, ...]:
        """Empty: commands run without a prefix."""
        return ()


@dataclass(frozen=True)
class Background:
    """A command that runs in a namespace. Its output is kept in a folder on the node."""

    namespace: Namespace
    unit: str
    folder: str

    def start(self, argv: Sequence[str], files: dict[str, str]) -> None:
        """Start the unit."""
        folder = shlex.quote(self.folder)
        lines = [f"mkdir -p {folder}"]
        lines += [f"printf %s {shlex.quote(t)} > {folder}/{n}" for n, t in files.items()]
        command = [
            *("systemd-run", "--quiet", "--collect", f"--unit={self.unit}"),
            f"--property=StandardOutput=file:{self.folder}/out",
            f"--property=StandardError=file:{self.folder}/err",
            f"--property=WorkingDirectory={self.folder}",
            *(*self.namespace.entered, *argv),
        ]
        self.namespace.script("\n".join([*lines, shlex.join(command)]))

    def await_line(self, pattern: str) -> None:
        """Wait until a pattern is found in the command's standard error. Raises WaitError."""
        wanted = re.compile(pattern)
        ended = False

        def look() -> bool | NotYet:
            nonlocal ended
            said = self._read("err", f"systemctl is-active {self.unit} >&2 || true")
            ended = said.stderr.strip() in ("inactive", "failed")
            return bool(wanted.search(said.stdout)) or NotYet(said.stdout.strip() or "no output")

        wait.until(
            f"{self.unit} on {self.namespace.node} to be ready",
            look,
            timeout=30,
            interval=0.1,
            hopeless=lambda: "it has ended" if ended else None,
        )

    def output(self) -> str:
        """The command's standard output so far, as text."""
        return self._read("out").stdout

    def binary(self) -> bytes:
        """The command's standard output so far, as bytes."""
        return base64.b64decode(self.namespace.script('base64 "$1/out"', self.folder).stdout)

    def errors(self) -> str:
        """The command's standard error so far."""
        return self._read("err").stdout

    def stop(self) -> None:
        """Stop the command and wait until it has ended."""
        self.namespace.script('systemctl stop --quiet "$1" 2> /dev/null || true', self.unit)

    def remove(self) -> None:
        """Stop the command and remove its folder."""
        text = 'systemctl stop --quiet "$1" 2> /dev/null || true; rm -rf "$2"'
        self.namespace.script(text, self.unit, self.folder)

    def _read(self, name: str, also: str = "") -> Result:
        return self.namespace.script(f'cat "$1/{name}" 2> /dev/null || true\n{also}', self.folder)
