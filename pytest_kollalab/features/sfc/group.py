"""Groups of functions that share the load, and the traffic of a chain."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kollalab.features.sfc import api
from pytest_kollalab.sdn.tenant.scope import Temporary
from pytest_kollalab.system.signals import uninterrupted

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.function import Function
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@dataclass(frozen=True)
class Traffic:
    """Packets from one probe to another.

    Args:
        src: The probe that sends.
        dst: The probe that receives.
        protocol: Only packets of `tcp`, `udp` or `icmp`.
        port: Only packets to this port.
        ports: Only packets to ports from the first to the second; None leaves a bound out of the
            request. It is not checked how flows match such a range.
        anywhere: Packets to any address: the classifier has only the prefix of the source.
    """

    src: Probe
    dst: Probe
    protocol: str | None = None
    port: int | None = None
    ports: tuple[int | None, int | None] | None = None
    anywhere: bool = False

    @property
    def has_pings(self) -> bool:
        """Whether pings belong to it."""
        return self.protocol in (None, "icmp")

    def classifier(self, *, symmetric: bool = False) -> dict[str, Any]:
        """The fields of its flow classifier; `symmetric` is for a chain that leads answers too."""
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
    """A chain through a group, which is notified when the group's functions change."""

    def remember(self, functions: Iterable[Function]) -> None:
        """Note that these functions have been part of it."""

    def wait_for_change(self) -> float:
        """Wait until Open vSwitch has the change; returns the seconds."""


class Group(Temporary):
    """A port pair group: functions that share the flows. It is made by `Sfc.group` or a chain.

    As a context manager it is deleted when the block ends.

    Args:
        tenant: The project.
        functions: The functions.
        tap: Whether they get copies of the packets and pass nothing on.
        balance_by: The fields of a packet that choose its function, such as `ip_src`.
        implicit: Whether it is deleted together with the last chain through it.
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
        """Create it if it does not exist."""
        if self.id:
            return
        with uninterrupted():
            made = api.create(
                self.tenant,
                "port_pair_group",
                name=self.tenant.full_name(secrets.token_hex(2)),
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

        Raises:
            openstack.exceptions.HttpException: The API refuses the request.
            WorkaroundForbiddenError: A workaround is needed and forbidden.
            WaitError: Open vSwitch does not have the change in time.
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
        """Delete it; calling it again does nothing."""
        if self.id:
            api.delete(self.tenant, "port_pair_group", self.id)
            self.id = ""

    def enter(self, chain: Led) -> None:
        """Note that a chain leads through it, and create it if it does not exist."""
        self.create()
        if chain not in self.chains:
            self.chains.append(chain)

    def leave(self, chain: Led) -> None:
        """Note that a chain no longer leads through it; delete an implicit group without chains."""
        if chain in self.chains:
            self.chains.remove(chain)
        if self.implicit and not self.chains:
            self.delete()
