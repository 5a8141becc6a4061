"""BGP VPNs of a tenant, the reflector's routes for them, and who reaches whom."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any, Self, TypedDict, TypeVar, Unpack

from pytest_kollalab.features.bgpvpn.oracle import (
    BAGPIPE,
    FRR,
    BagpipeRoutes,
    EvpnOracle,
    Oracle,
)
from pytest_kollalab.features.bgpvpn.reflector import Reflector, Route
from pytest_kollalab.features.bgpvpn.site import Site, free_prefix
from pytest_kollalab.features.bgpvpn.speaker import Speaker
from pytest_kollalab.features.bgpvpn.vpn import ROUTES, Vpn
from pytest_kollalab.sdn.ovs.flows import Flows, bridge_flows
from pytest_kollalab.sdn.probe.namespace import namespace_name
from pytest_kollalab.sdn.probe.ping import PingResult
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Target, address_of
from pytest_kollalab.sdn.tenant.scope import Scope
from pytest_kollalab.sdn.tenant.tenant import COMPUTE, CONTROLLER, Tenant
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

AS = 64512
GATEWAY = "gateway-1"
BRIDGE = "br-mpls"
NAMES_ASKED = 5

T = TypeVar("T")


@dataclass(frozen=True)
class Ends:
    """Two networks, `left` and `right`, without a router, each with a probe: `near` and `far`."""

    left: Network
    right: Network
    near: Probe
    far: Probe


class VpnOptions(TypedDict, total=False):
    """What a BGP VPN may be given.

    Attributes:
        imports: Further route targets to import.
        exports: Further route targets to export.
        local_pref: The local preference of the VPN's routes.
        route_distinguishers: The route distinguishers of its routes.
        vni: The VXLAN network identifier.
    """

    imports: Sequence[str]
    exports: Sequence[str]
    local_pref: int
    route_distinguishers: Sequence[str]
    vni: int


class Bgpvpn(Scope):
    """Makes BGP VPNs of a tenant, and looks at their routes and flows.

    Args:
        tenant: The project of the VPNs.
        addresses: The tunnel address of each node.
    """

    def __init__(self, tenant: Tenant, addresses: Mapping[str, str]) -> None:
        super().__init__()
        self.tenant = tenant
        self.speakers = {
            node: Speaker(tenant.ssh, node, address) for node, address in addresses.items()
        }
        self.reflector = Reflector(tenant.ssh, CONTROLLER)
        # Whose routes `rib` and the words that wait for routes can read; features add theirs.
        self.oracles: dict[str, Oracle] = {
            FRR: self.reflector,
            BAGPIPE: BagpipeRoutes(self.speakers[GATEWAY]),
        }
        self._sites = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def ends(self) -> Ends:
        """Create two networks without a router, each with a probe, on two nodes."""
        left, right = (self.tenant.network(name, dhcp=False) for name in ("left", "right"))
        with self.tenant.together():
            near = self.tenant.probe(left, COMPUTE, name="near")
            return Ends(left, right, near, self.tenant.probe(right, CONTROLLER, name="far"))

    def halves(self, cidr: str) -> Ends:
        """Create two networks with the same prefix and no gateway, each with a probe."""
        left, right = (
            self.tenant.network(name, cidr, gateway=False, dhcp=False) for name in ("left", "right")
        )
        net = IPv4Network(cidr)
        probe = self.tenant.probe
        near = probe(left, COMPUTE, name="near-half", ip=str(net[10]))
        return Ends(left, right, near, probe(right, CONTROLLER, name="far-half", ip=str(net[20])))

    def target(self) -> str:
        """A random route target, which nobody else uses."""
        return f"{AS}:{secrets.randbelow(2**31) + 2**16}"

    def l3(self, rt: str | None = None, **options: Unpack[VpnOptions]) -> Vpn:
        """Create a VPN of routed networks.

        Args:
            rt: The route target that is both imported and exported. Without any target the VPN
                gets one that nobody else uses.
            **options: Those of `VpnOptions`, such as `imports` and `exports`.
        """
        return self._vpn("l3", rt, options)

    def l2(self, rt: str | None = None, **options: Unpack[VpnOptions]) -> Vpn:
        """Create a VPN of one Ethernet segment (EVPN). The arguments are as for `l3`."""
        return self._vpn("l2", rt, options)

    def site(
        self,
        name: str = "site",
        *,
        rt: Sequence[str] = (),
        imports: Sequence[str] = (),
        exports: Sequence[str] = (),
    ) -> Site:
        """Create a host in the data centre, behind the gateway and outside the cloud.

        Args:
            name: Its name.
            rt: Route targets that are both imported and exported.
            imports: Further route targets to import.
            exports: Further route targets to export.
        """
        self._sites += 1
        site = Site.make(
            self.speakers[GATEWAY],
            namespace_name(self.tenant.name, f"{name}-{self._sites}"),
            name,
            free_prefix({route.prefix for route in self.oracles[FRR].routes()}),
        )
        self.undo.callback(site.remove)
        site.attach([*rt, *imports], [*rt, *exports])
        return site

    def rib(self, to: Target, *, oracle: str = FRR) -> list[Route]:
        """The routes to a prefix, or to the address of a target.

        Args:
            to: A probe, an address or a prefix.
            oracle: Who is asked: `frr`, the reflector; `bagpipe`, the speaker of the gateway; or
                another one in `oracles`.
        """
        prefix = _prefix(to)
        return [route for route in self.oracles[oracle].routes() if route.prefix == prefix]

    def announced(
        self,
        to: Target,
        by: str | None = None,
        *,
        rt: str | None = None,
        within: float = 60,
        oracle: str = FRR,
    ) -> Route:
        """Wait until there is exactly one route to a target.

        Args:
            to: A probe, an address or a prefix.
            by: Count only routes that this node announces.
            rt: Count only routes with this route target.
            within: Seconds.
            oracle: Who is asked (see `rib`).

        Returns:
            The route.

        Raises:
            WaitError: There is no such route, or more than one.
        """

        def look() -> Route | NotYet:
            found = self.rib(to, oracle=oracle)
            address = self.speakers[by].address if by else None
            wanted = [r for r in found if address is None or r.next_hop == address]
            wanted = [r for r in wanted if rt is None or rt in r.targets]
            return wanted[0] if len(wanted) == 1 else NotYet(f"{found}")

        return self._await(f"a route to {_prefix(to)}", look, within)

    def all_announced(
        self, prefixes: Collection[str], *, rt: str, within: float = 60, oracle: str = FRR
    ) -> float:
        """Wait until there is a route to each of many prefixes.

        Args:
            prefixes: The prefixes.
            rt: Count only routes with this route target.
            within: Seconds.
            oracle: Who is asked (see `rib`).

        Returns:
            The seconds that it took.

        Raises:
            WaitError: Some are missing after `within` seconds; the error says how many.
        """

        def look() -> bool | NotYet:
            found = {route.prefix for route in self.oracles[oracle].routes() if rt in route.targets}
            missing = [prefix for prefix in prefixes if prefix not in found]
            return not missing or NotYet(f"{len(missing)} are missing, such as {missing[0]}")

        return self._seconds(f"routes to {len(prefixes)} prefixes", look, within)

    def announced_mac(self, mac: str, *, within: float = 60, oracle: str = FRR) -> Route:
        """Wait for the EVPN route to a MAC address.

        Args:
            mac: The MAC address.
            within: Seconds.
            oracle: Who is asked (see `rib`).

        Raises:
            ConfigError: This oracle tells no EVPN routes.
            WaitError: There is no such route.
        """

        def look() -> Route | NotYet:
            found = self._evpn(mac, oracle)
            return found[0] if found else NotYet("no such route")

        return self._await(f"a route to {mac}", look, within)

    def withdrawn_mac(self, mac: str, *, within: float = 60, oracle: str = FRR) -> float:
        """Wait until no EVPN route leads to a MAC address, and return the seconds that it took.

        Args:
            mac: The MAC address.
            within: Seconds.
            oracle: Who is asked (see `rib`).

        Raises:
            ConfigError: This oracle tells no EVPN routes.
            WaitError: There is still one after `within` seconds.
        """

        def look() -> bool | NotYet:
            found = self._evpn(mac, oracle)
            return not found or NotYet(f"{found}")

        return self._seconds(f"no route to {mac}", look, within)

    def withdrawn(self, to: Target, *, within: float = 60, oracle: str = FRR) -> float:
        """Wait until no route leads to a target, and return the seconds that it took.

        Args:
            to: A probe, an address or a prefix.
            within: Seconds.
            oracle: Who is asked (see `rib`).

        Raises:
            WaitError: There is still one after `within` seconds.
        """

        def look() -> bool | NotYet:
            found = self.rib(to, oracle=oracle)
            return not found or NotYet(f"{found}")

        return self._seconds(f"no route to {_prefix(to)}", look, within)

    def reaches(self, source: Probe, target: Probe, *, within: float = 60) -> float:
        """Wait until a ping is answered, and check that it is the target that answers.

        The target is asked for its name several times, because there may be several paths and each
        TCP connection takes one of them.

        Returns:
            The seconds until the first answer.

        Raises:
            WaitError: No ping is answered within `within` seconds.
            AssertionError: Another probe answers.
        """
        seconds = source.reaches(target, within=within * self.tenant.patience)
        with target.listening("tcp", 80):
            names = [source.ask("tcp", target, 80).name for _ in range(NAMES_ASKED)]
        assert names == [target.name] * NAMES_ASKED, f"{target.ip} answered as {names}"
        return seconds

    def who(self, source: Probe, address: str, *listeners: Probe) -> set[str]:
        """The names of the listeners that answer when an address is asked several times."""
        with ExitStack() as listening:
            for each in listeners:
                listening.enter_context(each.listening("tcp", 80))
            return {source.ask("tcp", address, 80).name for _ in range(2 * NAMES_ASKED)}

    def await_who(
        self, source: Probe, address: str, *listeners: Probe, only: Probe | None, within: float = 60
    ) -> float:
        """Wait until the expected listeners answer at an address.

        Args:
            source: The probe that asks.
            address: The address.
            *listeners: Probes that answer there.
            only: The one listener that shall answer, or None for all of them.
            within: Seconds.

        Returns:
            The seconds that it took.

        Raises:
            WaitError: Others answer.
        """
        wanted = {only.name} if only is not None else {each.name for each in listeners}

        def look() -> bool | NotYet:
            found = self.who(source, address, *listeners)
            return found == wanted or NotYet(f"answers of {found}")

        return self._seconds(f"{address} to be {' and '.join(sorted(wanted))}", look, within)

    def lost(self, source: Probe, target: Target, *, within: float = 60) -> float:
        """Wait until pings are no longer answered, and return the seconds that it took.

        Raises:
            WaitError: They are still answered after `within` seconds.
        """

        def look() -> bool | NotYet:
            result = source.ping(target, 2, linger=self.tenant.patience)
            return result.received == 0 or NotYet(str(result))

        return self._seconds(f"{source.name} to lose {address_of(target)}", look, within)

    def apart(self, source: Probe, target: Target) -> bool:
        """Whether none of three pings is answered."""
        result: PingResult = source.ping(target, 3, linger=self.tenant.patience)
        return result.sent > 0 and result.received == 0

    def flows(self, node: str, *, settled: bool = False) -> Flows:
        """The flows of the MPLS bridge of a node."""
        return bridge_flows(self.tenant.ssh, node, BRIDGE, settled=settled)

    def flow_appears(self, node: str, to: Target, *, within: float = 60) -> float:
        """Wait until a node has a flow to a target, and return the seconds that it took.

        Raises:
            WaitError: There is none after `within` seconds.
        """

        def look() -> bool | NotYet:
            found = self.flows(node).where(table=ROUTES, nw_dst=address_of(to))
            return bool(found) or NotYet("no such flow")

        return self._seconds(f"a way from {node} to {address_of(to)}", look, within)

    def _vpn(self, kind: str, rt: str | None, options: VpnOptions) -> Vpn:
        imports, exports = list(options.get("imports", ())), list(options.get("exports", ()))
        if rt is None and not imports and not exports:
            rt = self.target()
        given = {"local_pref": options.get("local_pref"), "vni": options.get("vni")}
        more: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        if "route_distinguishers" in options:
            more["route_distinguishers"] = list(options["route_distinguishers"])
        with uninterrupted():
            made = self.tenant.admin.network.create_bgpvpn(
                name=self.tenant.full_name(secrets.token_hex(2)),
                project_id=self.tenant.project.id,
                type=kind,
                route_targets=[rt] if rt else [],
                import_targets=imports,
                export_targets=exports,
                **more,
            )
            vpn = Vpn(self, made)
            # Deleted before its members: agents need the ports to withdraw their routes.
            self.undo.callback(vpn.delete)
        return vpn

    def _evpn(self, mac: str, oracle: str) -> list[Route]:
        asked = self.oracles[oracle]
        if not isinstance(asked, EvpnOracle):
            known = [name for name, each in self.oracles.items() if isinstance(each, EvpnOracle)]
            raise ConfigError(
                f"the oracle {oracle!r} tells no EVPN routes", hint=f"ask {' or '.join(known)}"
            )
        return [route for route in asked.evpn_routes() if route.mac == mac]

    def _seconds(self, what: str, look: Callable[[], bool | NotYet], within: float) -> float:
        """Wait, and return the seconds that it took."""
        started = time.monotonic()
        self._await(what, look, within)
        return time.monotonic() - started

    def _await(self, what: str, look: Callable[[], T | NotYet], within: float) -> T:
        return wait.until(what, look, timeout=within * self.tenant.patience, interval=0.2)


def _prefix(to: Target) -> str:
    address = address_of(to)
    return address if "/" in address else f"{address}/32"
