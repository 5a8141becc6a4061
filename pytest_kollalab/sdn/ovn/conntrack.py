"""Connections that a node's switch tracks, each in a zone of a logical port or router."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

PARTS = re.compile(r"(\w+)=(\([^()]*(?:\([^()]*\)[^()]*)*\)|[^,()]*)")


@dataclass(frozen=True)
class TrackedConnection:
    """A connection that is tracked.

    Attributes:
        protocol: tcp, udp, icmp, icmpv6, or the number as text.
        src: The address that began it.
        dst: The address that it was begun to.
        sport: The source port; None without ports.
        dport: The destination port.
        back_to: The address that answers go to: another one than `src` behind source NAT.
        back_from: The address that answers come from: another one than `dst` behind destination NAT
            or a load balancer.
        zone: The number of the zone.
        owner: Whose zone it is: the id of a port, or a router or switch with `_snat` or `_dnat`;
            empty if the zone is none of OVN's.
        state: The state of a TCP connection, such as ESTABLISHED; otherwise empty.
        mark: The mark of the connection.
    """

    protocol: str
    src: str
    dst: str
    sport: int | None
    dport: int | None
    back_to: str
    back_from: str
    zone: int
    owner: str
    state: str = ""
    mark: int = 0

    @property
    def is_natted(self) -> bool:
        """Whether an address of it is changed on the way."""
        return (self.src, self.dst) != (self.back_to, self.back_from)


def parse_zones(text: str) -> dict[int, str]:
    """Whose each zone is, by its number, from the output of `ovn-appctl ct-zone-list`."""
    rows = (line.rsplit(maxsplit=1) for line in text.splitlines() if line.strip())
    return {int(number): owner for owner, number in rows}


def parse_connections(text: str, zones: Mapping[int, str]) -> list[TrackedConnection]:
    """The connections in the output of `ovs-appctl dpctl/dump-conntrack`.

    Args:
        text: The output.
        zones: Whose each zone is.
    """
    return list(_connections(text, zones))


def _connections(text: str, zones: Mapping[int, str]) -> Iterator[TrackedConnection]:
    for line in text.splitlines():
        protocol, _, rest = line.partition(",")
        found = _parts(rest)
        if "orig" not in found or "reply" not in found:
            continue
        there, back = _parts(found["orig"]), _parts(found["reply"])
        zone = int(found.get("zone", "0"))
        yield TrackedConnection(
            protocol=protocol.strip(),
            src=there["src"],
            dst=there["dst"],
            sport=int(there["sport"]) if "sport" in there else None,
            dport=int(there["dport"]) if "dport" in there else None,
            back_to=back["dst"],
            back_from=back["src"],
            zone=zone,
            owner=zones.get(zone, ""),
            state=_parts(found.get("protoinfo", "")).get("state", ""),
            mark=int(found.get("mark", "0"), 0),
        )


def _parts(text: str) -> dict[str, str]:
    return {name: value.strip("()") for name, value in PARTS.findall(text)}
