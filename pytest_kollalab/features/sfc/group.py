"""A group of functions that share the load, and the traffic that a chain leads to it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kollalab.features.sfc import api
from pytest_kollalab.sdn.tenant.scope import Temporary

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.function import Function
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@dataclass(frozen=True)
class Traffic:
    """Packets from one probe to another; `protocol` (tcp, udp, icmp) and port narrow them down."""

    src: Probe
    dst: Probe
    protocol: str | None = None
    port: int | None = None

    @property
    def has_pings(self) -> bool:
        """Whether a ping is part of it."""
        return self.protocol in (None, "icmp")

    def classifier(self, *, symmetric: bool = False) -> dict[str, Any]:
        """What the API wants to know of it; `symmetric` for a chain that leads answers too."""
        fields: dict[str, Any] = {
            "ethertype": "IPv4",
            "logical_source_port": self.src.ports[0].id,
            "source_ip_prefix": f"{self.src.ip}/32",
            "destination_ip_prefix": f"{self.dst.ip}/32",
        }
        if symmetric:
            fields["logical_destination_port"] = self.dst.ports[0].id
        if self.protocol is not None:
            fields["protocol"] = self.protocol
        if self.port is not None:
            fields["destination_port_range_min"] = self.port
            fields["destination_port_range_max"] = self.port
        return fields


class Led(Protocol):
    """What leads through a group: a chain, which has to know when the functions change."""

    def remember(self, functions: Iterable[Function]) -> None:
        """These functions were part of it."""

    def wait_for_change(self) -> float:
        """Return when the change is in the flow tables."""


class Group(Temporary):
    """A port pair group: functions of which each flow takes one. Made by `Sfc.group` or a chain.

    `tap` marks functions that get a copy and pass nothing on. One that a chain made for itself
    (`implicit`) goes with the last chain through it. As a context it is deleted when the block
    ends.
    """

    def __init__(
        self, tenant: Tenant, functions: Iterable[Function], *, tap: bool = False, implicit: bool
    ) -> None:
        self.tenant = tenant
        self.functions = list(functions)
        self.tap = tap
        self.implicit = implicit
        self.chains: list[Led] = []
        self.id = ""
        self.number = 0

    def __repr__(self) -> str:
        return "|".join(function.name for function in self.functions) or "nobody"

    def create(self) -> None:
        """Make it, if it is not there."""
        if self.id:
            return
        made = api.create(
            self.tenant,
            "port_pair_group",
            name=f"{self.tenant.name}-{secrets.token_hex(2)}",
            port_pairs=[function.pair for function in self.functions],
            tap_enabled=self.tap,
        )
        self.id, self.number = made["id"], int(made["group_id"])

    def update(self, functions: Iterable[Function]) -> None:
        """Have these functions instead, and wait until its chains lead through them."""
        gone = self.functions
        self.functions = list(functions)
        api.update(
            self.tenant,
            "port_pair_group",
            self.id,
            port_pairs=[function.pair for function in self.functions],
        )
        for chain in self.chains:
            chain.remember(gone)
            chain.wait_for_change()

    def delete(self) -> None:
        """Remove it; a second time does nothing."""
        if self.id:
            api.delete(self.tenant, "port_pair_group", self.id)
            self.id = ""

    def enter(self, chain: Led) -> None:
        """A chain leads through it from now on."""
        self.create()
        if chain not in self.chains:
            self.chains.append(chain)

    def leave(self, chain: Led) -> None:
        """A chain does so no more; what nobody needs goes."""
        if chain in self.chains:
            self.chains.remove(chain)
        if self.implicit and not self.chains:
            self.delete()
