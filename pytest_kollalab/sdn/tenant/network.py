"""Networks and routers of a tenant, as scenarios name them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Protocol


@dataclass(frozen=True)
class Network:
    """A network with one IPv4 subnet. `gateway` is the address kept for its router."""

    id: str
    name: str
    subnet_id: str
    cidr: str
    gateway: str | None
    mtu: int

    @property
    def prefix(self) -> int:
        """The length of the subnet's prefix."""
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
        """The name of its device on a node; Linux allows 15 characters."""
        return f"tap{self.id[:11]}"


class Addressed(Protocol):
    """Anything that can be reached by an address: a probe, a server."""

    @property
    def ip(self) -> str: ...


Target = Addressed | str


def address_of(target: Target) -> str:
    """The address of a target, which may be given as it is."""
    return target if isinstance(target, str) else target.ip
