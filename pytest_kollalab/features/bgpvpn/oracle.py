"""Oracles: who can be asked for the routes of BGP VPNs, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytest_kollalab.features.bgpvpn.reflector import Route

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.speaker import Speaker

VPNV4 = "ipv4/mpls-vpn"
FRR, BAGPIPE = "frr", "bagpipe"

_PREFIX = re.compile(r"^(\S+/\d+)")
_LABEL = re.compile(r"\blabel \[? ?(\d+)")
_RD = re.compile(r"\brd (\S+)")
_PREFERENCE = re.compile(r"\d+")


class Oracle(Protocol):
    """Somebody who takes part in BGP and tells the routes that he knows."""

    def routes(self) -> list[Route]:
        """The VPNv4 routes."""


@runtime_checkable
class EvpnOracle(Oracle, Protocol):
    """An oracle that tells EVPN routes as well."""

    def evpn_routes(self) -> list[Route]:
        """The EVPN routes."""


class BagpipeRoutes:
    """The routes that the BGP speaker of a node knows, its own and received ones."""

    def __init__(self, speaker: Speaker) -> None:
        self.speaker = speaker

    def routes(self) -> list[Route]:
        """The VPNv4 routes."""
        return parse_bagpipe(self.speaker.look("bgp/routes"))


def parse_bagpipe(document: Mapping[str, Iterable[Mapping[str, Any]]]) -> list[Route]:
    """Parse the VPNv4 routes in `bgp/routes` of bagpipe's looking glass."""
    entries = [entry for name, found in document.items() if VPNV4 in name for entry in found]
    found = [_route(nlri, told) for entry in entries for nlri, told in entry.items()]
    # A route is listed for each source that it came from.
    return list(dict.fromkeys(found))


def _route(nlri: str, told: Mapping[str, Any]) -> Route:
    prefix, rd, label = _PREFIX.search(nlri), _RD.search(nlri), _LABEL.search(nlri)
    preference = _PREFERENCE.search(told["attributes"].get("local-preference", ""))
    return Route(
        rd=rd[1] if rd is not None else "",
        prefix=prefix[1] if prefix is not None else nlri,
        next_hop=told["next_hop"],
        targets=frozenset(
            target.removeprefix("target:") for target in told.get("route_targets", ())
        ),
        label=int(label[1]) if label is not None else None,
        local_pref=int(preference[0]) if preference is not None else None,
    )
