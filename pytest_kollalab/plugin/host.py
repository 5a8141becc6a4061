"""The testinfra host of a node, with types: testinfra has none.

The classes are protocols. They name what testinfra documents and a test of a node needs; what is
left out here works as well, and a type checker is told with `typing.cast`.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol


class CommandResult(Protocol):
    """The result of a command."""

    @property
    def rc(self) -> int:
        """The exit code."""

    @property
    def succeeded(self) -> bool:
        """Whether the exit code is 0."""

    @property
    def failed(self) -> bool:
        """Whether the exit code is not 0."""

    @property
    def stdout(self) -> str:
        """The standard output."""

    @property
    def stderr(self) -> str:
        """The standard error."""


class File(Protocol):
    """A file or folder."""

    exists: bool
    is_file: bool
    is_directory: bool
    is_executable: bool
    is_symlink: bool
    linked_to: str
    user: str
    uid: int
    group: str
    gid: int
    mode: int
    size: int
    mtime: datetime.datetime
    md5sum: str
    sha256sum: str
    content: bytes
    content_string: str

    def contains(self, pattern: str) -> bool:
        """Whether the content matches a pattern of grep."""

    def listdir(self) -> list[str]:
        """The names in a folder."""


class Service(Protocol):
    """A service of the node."""

    exists: bool
    is_running: bool
    is_enabled: bool
    is_valid: bool
    is_masked: bool
    systemd_properties: dict[str, str]


class Interface(Protocol):
    """A network interface."""

    exists: bool
    speed: int
    addresses: list[str]


class AddressPort(Protocol):
    """A TCP port at an address, as seen from the node."""

    is_reachable: bool


class Address(Protocol):
    """An address or a name, as seen from the node."""

    is_resolvable: bool
    is_reachable: bool
    ip_addresses: list[str]
    ipv4_addresses: list[str]
    ipv6_addresses: list[str]

    def port(self, port: int) -> AddressPort:
        """A TCP port."""


class Socket(Protocol):
    """A listening socket, such as `tcp://0.0.0.0:22`.

    Ask for the address that the service is bound to: testinfra does not find one on 0.0.0.0 by an
    address of the node, and finds one on :: by every address.
    """

    is_listening: bool


class Package(Protocol):
    """A package of the distribution."""

    is_installed: bool
    version: str
    release: str


class Container(Protocol):
    """A container of the node's docker."""

    is_running: bool
    is_restarting: bool
    id: str
    name: str


class Process(Protocol):
    """A running process. Any column of ps is an attribute; these are the usual ones."""

    pid: int
    ppid: int
    rss: int
    vsz: int
    user: str
    comm: str
    args: str


class Processes(Protocol):
    """The running processes. Filters are columns of ps and their values."""

    def filter(self, **filters: object) -> Sequence[Process]:
        """All processes that match."""

    def get(self, **filters: object) -> Process:
        """The only process that matches. Raises RuntimeError if there is none, or several."""


class Account(Protocol):
    """A user account."""

    exists: bool
    name: str
    uid: int
    gid: int
    group: str
    groups: list[str]
    home: str
    shell: str


class SystemInfo(Protocol):
    """The operating system."""

    distribution: str
    release: str
    codename: str
    arch: str


class Sysctl(Protocol):
    """Reads kernel parameters."""

    def __call__(self, name: str) -> int | str:
        """The value of a parameter."""


class Host(Protocol):
    """A node. Commands have placeholders: `host.run("ls %s", path)` quotes the path."""

    process: Processes
    system_info: SystemInfo
    sysctl: Sysctl

    def run(self, command: str, *args: str) -> CommandResult:
        """Run a shell command."""

    def run_expect(self, expected: list[int], command: str, *args: str) -> CommandResult:
        """Run a shell command. Raises AssertionError for another exit code."""

    def run_test(self, command: str, *args: str) -> CommandResult:
        """Run a shell command. Raises AssertionError for an exit code other than 0 and 1."""

    def check_output(self, command: str, *args: str) -> str:
        """The standard output of a shell command. Raises AssertionError if it fails."""

    def exists(self, command: str) -> bool:
        """Whether there is a command of this name."""

    def find_command(self, command: str) -> str:
        """The path of a command. Raises ValueError."""

    def file(self, path: str) -> File:
        """A file or folder."""

    def service(self, name: str) -> Service:
        """A service."""

    def interface(self, name: str) -> Interface:
        """A network interface."""

    def addr(self, name: str) -> Address:
        """An address or a name."""

    def socket(self, spec: str) -> Socket:
        """A listening socket."""

    def package(self, name: str) -> Package:
        """A package."""

    def docker(self, name: str) -> Container:
        """A container."""

    def user(self, name: str | None = None) -> Account:
        """A user account; by default that of the commands."""

    def sudo(self, user: str | None = None) -> AbstractContextManager[None]:
        """A block in which commands run as another user."""
