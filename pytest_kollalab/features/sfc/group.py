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
    """Packets from one probe to another.

    Args:
        src: Where they come from.
        dst: Where they go.
        protocol: Only those of tcp, udp or icmp.
        port: Only those to this port.
        ports: Only those to ports from the first to the second; None is a bound that the API is
            not told. The oracle does not check how flows match such a range.
        anywhere: Those to all addresses: the classifier has the prefix of the source alone.
    """

    src: Probe
    dst: Probe
    protocol: str | None = None
    port: int | None = None
    ports: tuple[int | None, int | None] | None = None
    anywhere: bool = False

    @property
    def has_pings(self) -> bool:
        """Whether a ping is part of it."""
        return self.protocol in (None, "icmp")

    def classifier(self, *, symmetric: bool = False) -> dict[str, Any]:
        """The fields of its classifier; `symmetric` for a chain that leads answers too."""
        fields: dict[str, Any] = {
            "ethertype": "IPv4",
            "logical_source_port": self.src.ports[0].id,
            "source_ip_prefix": f"{self.src.ip}/32",
        }
        if not self.anywhere:
            fields["destination_ip_prefix"] = f"{self.dst.ip}/32"
        if symmetric:
            fields["logical_destination_port"] = self.dst.ports[0].id
        if self.protocol is not None:
            fields["protocol"] = self.protocol
        lowest, highest = self.ports or (self.port, self.port)
        if lowest is not None:
            fields["destination_port_range_min"] = lowest
        if highest is not None:
            fields["destination_port_range_max"] = highest
        return fields


class Led(Protocol):
    """A chain through a group; it has to know when the group's functions change."""

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
        self,
        tenant: Tenant,
        functions: Iterable[Function],
        *,
        tap: bool = False,
        balance_by: Iterable[str] = (),
        implicit: bool,
    ) -> None:
        self.tenant = tenant
        self.functions = list(functions)
        self.tap = tap
        self.balance_by = list(balance_by)
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
            **(
                {"port_pair_group_parameters": {"lb_fields": self.balance_by}}
                if self.balance_by
                else {}
            ),
        )
        self.id, self.number = made["id"], int(made["group_id"])

    def update(self, functions: Iterable[Function]) -> None:
        """Replace its functions, and wait until its chains lead through the new ones.

        Raises openstacksdk's exceptions, WorkaroundForbiddenError and WaitError.
        """
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
        """Note that a chain leads through it, and make it if it is not there."""
        self.create()
        if chain not in self.chains:
            self.chains.append(chain)

    def leave(self, chain: Led) -> None:
        """Note that a chain does not lead through it any more; one that is implicit may go."""
        if chain in self.chains:
            self.chains.remove(chain)
        if self.implicit and not self.chains:
            self.delete()
