"""Routes as OpenDaylight's RESTCONF has them: parsed, and written for an injection."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from typing import Any

from pytest_kollalab.features.bgpvpn.reflector import MACIP, MULTICAST, Route
from pytest_kollalab.system.errors import ConfigError

VPNV4 = "bgp-vpn-ipv4:vpn-ipv4-routes"
EVPN = "odl-bgp-evpn:evpn-routes"
# The tables of the families in the paths of RESTCONF.
TABLES = {
    VPNV4: "tables=bgp-types:ipv4-address-family,"
    "bgp-types:mpls-labeled-vpn-subsequent-address-family",
    EVPN: "tables=odl-bgp-evpn:l2vpn-address-family,odl-bgp-evpn:evpn-subsequent-address-family",
}
HIGHEST_LABEL = 2**20 - 1

_TYPED = re.compile(r"^[012]:(?=[^:]+:)")
_TARGET = re.compile(r"(?P<administrator>[^:]+):(?P<number>\d{1,10})", re.ASCII)
_KINDS = {"mac-ip-adv-route": MACIP, "inc-multi-ethernet-tag-res": MULTICAST}


def parse_routes(document: Mapping[str, Any]) -> list[Route]:
    """Parse the routes of one table, of VPNv4 or EVPN.

    Args:
        document: The answer for a table, or for what is below it.
    """
    return [_route(entry) for entry in _entries(document)]


def keys(document: Mapping[str, Any]) -> dict[str, Route]:
    """The routes of one table by their keys."""
    return {str(entry["route-key"]): _route(entry) for entry in _entries(document)}


def _entries(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for name, found in document.items():
        if name.rpartition(":")[2] in ("vpn-route", "evpn-route"):
            yield from found
        elif isinstance(found, dict):
            yield from _entries(found)
        elif name.rpartition(":")[2] == "tables":
            for table in found:
                yield from _entries(table)


def _route(entry: Mapping[str, Any]) -> Route:
    attributes = entry.get("attributes", {})
    kind = next((name for name in _KINDS if name in entry), "")
    labels = [each["label-value"] for each in entry.get("label-stack", ())]
    return Route(
        rd=_TYPED.sub("", str(entry.get("route-distinguisher", ""))),
        prefix=str(entry.get("prefix", "")) or _evpn_prefix(kind, entry.get(kind, {})),
        next_hop=str(attributes.get("ipv4-next-hop", {}).get("global", "")),
        targets=frozenset(_targets(attributes.get("extended-communities", ()))),
        # Of a VNI, which has 24 bits, OpenDaylight keeps the 20 that would be a label.
        label=int(labels[0]) if labels else None,
        local_pref=attributes.get("local-pref", {}).get("pref"),
        mac=str(entry.get(kind, {}).get("mac-address", "")).lower(),
        kind=_KINDS.get(kind, 0),
    )


def _evpn_prefix(kind: str, told: Mapping[str, Any]) -> str:
    """The prefix of an EVPN route as FRR writes it."""
    tag = told.get("ethernet-tag-id", {}).get("vlan-id", 0)
    address = told.get("ip-address", told.get("orig-route-ip", ""))
    tail = f":[32]:[{address}]" if address else ""
    if _KINDS.get(kind) == MACIP:
        return f"[{MACIP}]:[{tag}]:[48]:[{str(told.get('mac-address', '')).lower()}]{tail}"
    return f"[{_KINDS[kind]}]:[{tag}]{tail}" if kind else ""


def _targets(communities: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in communities:
        if found := each.get("route-target-extended-community"):
            number = int.from_bytes(base64.b64decode(found["local-administrator"]), "big")
            yield f"{found['global-administrator']}:{number}"
        elif found := each.get("route-target-ipv4"):
            yield f"{found['global-administrator']}:{found['local-administrator']}"
        elif found := each.get("as-4-route-target-extended-community"):
            common = found["as-4-specific-common"]
            yield f"{common['as-number']}:{common['local-administrator']}"


def community(target: str) -> dict[str, Any]:
    """The extended community of a route target, `AS:NUMBER` or `ADDRESS:NUMBER`.

    Raises:
        ConfigError: It is no route target.
    """
    found = _TARGET.fullmatch(target)
    administrator, number = (found["administrator"], int(found["number"])) if found else ("", 0)
    if administrator.isdecimal() and int(administrator) < 2**16 and number < 2**32:
        local = base64.b64encode(number.to_bytes(4, "big")).decode()
        body = {"global-administrator": int(administrator), "local-administrator": local}
        return {"transitive": True, "route-target-extended-community": body}
    if administrator.isdecimal() and int(administrator) < 2**32 and number < 2**16:
        body = {"as-number": int(administrator), "local-administrator": number}
        named = {"as-4-specific-common": body}
        return {"transitive": True, "as-4-route-target-extended-community": named}
    if _is_address(administrator) and number < 2**16:
        body = {"global-administrator": administrator, "local-administrator": number}
        return {"transitive": True, "route-target-ipv4": body}
    raise ConfigError(
        f"{target!r} is no route target",
        hint="write AS:NUMBER or ADDRESS:NUMBER, such as 64512:100",
    )


def body(
    key: str,
    prefix: str,
    targets: Iterable[str],
    next_hop: str,
    label: int,
    *,
    rd: str,
    local_pref: int = 100,
) -> dict[str, Any]:
    """The VPNv4 route as the body of a request.

    Args:
        key: The key of the route in its table.
        prefix: The IPv4 prefix.
        targets: The route targets.
        next_hop: The address that packets are sent to.
        label: The MPLS label.
        rd: The route distinguisher, such as `64512:88` or `10.0.0.3:200`.
        local_pref: The local preference.

    Raises:
        ConfigError: An argument is not valid.
    """
    try:
        IPv4Network(prefix)
    except ValueError as error:
        raise ConfigError(f"{prefix!r} is no IPv4 prefix", details=str(error)) from error
    if not _is_address(next_hop):
        raise ConfigError(f"the next hop {next_hop!r} is no IPv4 address")
    if not 0 <= label <= HIGHEST_LABEL:
        raise ConfigError(f"{label} is no MPLS label", hint=f"it is one of 0 to {HIGHEST_LABEL}")
    if not 0 <= local_pref < 2**32:
        raise ConfigError(f"{local_pref} is no local preference", hint="it has 32 bits")
    named = [targets] if isinstance(targets, str) else list(targets)
    if not named:
        raise ConfigError(
            f"the route to {prefix} has no route target", details="no VPN would import it"
        )
    route = {
        "route-key": key,
        "path-id": 0,
        "label-stack": [{"label-value": label}],
        "route-distinguisher": distinguisher(rd),
        "prefix": prefix,
        "attributes": {
            "extended-communities": [community(target) for target in named],
            "ipv4-next-hop": {"global": next_hop},
            "as-path": {},
            "origin": {"value": "igp"},
            "local-pref": {"pref": local_pref},
        },
    }
    return {"bgp-vpn-ipv4:vpn-route": [route]}


def distinguisher(rd: str) -> str:
    """A route distinguisher in OpenDaylight's notation, where an AS of two bytes has a type.

    Raises:
        ConfigError: It is no route distinguisher.
    """
    found = _TARGET.fullmatch(rd)
    administrator, number = (found["administrator"], int(found["number"])) if found else ("", 0)
    if administrator.isdecimal() and int(administrator) < 2**16 and number < 2**32:
        return f"0:{rd}"
    if administrator.isdecimal() and int(administrator) < 2**32 and number < 2**16:
        return rd
    if _is_address(administrator) and number < 2**16:
        return rd
    raise ConfigError(
        f"{rd!r} is no route distinguisher",
        hint="write AS:NUMBER or ADDRESS:NUMBER, such as 64512:88",
    )


def _is_address(text: str) -> bool:
    try:
        IPv4Address(text)
    except AddressValueError:
        return False
    return True
