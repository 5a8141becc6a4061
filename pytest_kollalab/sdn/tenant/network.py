"""Networks, routers and ports of a tenant."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Protocol


@dataclass(frozen=True)
class Network:
    """A network with one IPv4 subnet. `gateway` is the address reserved for its router."""

    id: str
    name: str
    subnet_id: str
    cidr: str
    gateway: str | None
    mtu: int

    @property
    def prefix(self) -> int:
        """The prefix length of the subnet."""
        return IPv4Network(self.cidr).prefixlen


@dataclass(frozen=True)
class Router:
    """A router between networks; `outside` is its address on the external network, if any."""

    id: str
    name: str
    outside: str | None


@dataclass(frozen=True)
class Port:
    """A Neutron port with one address."""

    id: str
    mac: str
    ip: str

    @property
    def device(self) -> str:
        """The name of the port's device on a node, cut to Linux's limit for device names."""
        return f"tap{self.id[:11]}"


class Addressed(Protocol):
    """Anything with an IP address, such as a probe or a server."""

    @property
    def ip(self) -> str: ...


Target = Addressed | str


def address_of(target: Target) -> str:
    """The IP address of a target, or the target itself if it is an address."""
    return target if isinstance(target, str) else target.ip
