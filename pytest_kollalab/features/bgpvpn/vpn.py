"""A BGP VPN: its route targets, its members, and whether it has converged."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Router
from pytest_kollalab.sdn.tenant.scope import Temporary
from pytest_kollalab.system import wait
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.reflector import Reflector
    from pytest_kollalab.features.bgpvpn.speaker import Speaker
    from pytest_kollalab.sdn.ovs.flows import Flows
    from pytest_kollalab.sdn.tenant.tenant import Tenant

# bagpipe's tables on br-mpls: input, incoming labels, and the routes of the VPN instances.
INPUT, LABELS, ROUTES = 0, 1, 2

Member = Network | Router | Probe
# A prefix, the node that announces it, and the id of its network.
Announced = tuple[str, str, str]


class Backbone(Protocol):
    """The route reflector and the BGP speakers that VPNs use."""

    @property
    def tenant(self) -> Tenant:
        """The project of the VPNs."""

    @property
    def reflector(self) -> Reflector:
        """The route reflector."""

    @property
    def speakers(self) -> Mapping[str, Speaker]:
        """The BGP speaker of each node."""

    def flows(self, node: str, *, settled: bool = False) -> Flows:
        """The flows of the MPLS bridge of a node."""


class Membership:
    """The association of a network, a router or a port with a VPN, made by `Vpn.join`."""

    def __init__(self, vpn: Vpn, member: Member, kind: str, id: str) -> None:
        self.vpn = vpn
        self.member = member
        self.kind = kind
        self.id = id
        self.prefixes: tuple[str, ...] = ()
        self.fixed_ips = True

    def leave(self) -> None:
        """Delete the association; calling it again does nothing."""
        remove = getattr(self.vpn.api, f"delete_bgpvpn_{self.kind}_association")
        remove(self.vpn.id, self.id, ignore_missing=True)
        if self in self.vpn.memberships:
            self.vpn.memberships.remove(self)
        self.vpn.touch()

    def announce(self, routes: Iterable[str | Vpn], *, local_pref: int | None = None) -> None:
        """Replace the routes of a port's association.

        Args:
            routes: Prefixes to announce through the port, and VPNs whose routes are leaked.
            local_pref: The local preference of the routes.
        """
        listed = list(routes)
        self.vpn.api.update_bgpvpn_port_association(
            self.vpn.id, self.id, routes=_routes(listed, local_pref)
        )
        self.prefixes = tuple(route for route in listed if isinstance(route, str))
        self.vpn.touch()


class Vpn(Temporary):
    """A BGP VPN, made by `Bgpvpn.l3` or `Bgpvpn.l2`.

    As a context manager it is deleted when the block ends. `rt` are the route targets that are both
    imported and exported, `imports` and `exports` the others.
    """

    def __init__(self, bgpvpn: Backbone, made: Any) -> None:
        self.bgpvpn = bgpvpn
        self.tenant = bgpvpn.tenant
        self.id: str = made.id
        self.name: str = made.name
        self.memberships: list[Membership] = []
        self._read(made)
        self._changed = time.monotonic()

    def __repr__(self) -> str:
        return f"Vpn({self.name})"

    @property
    def api(self) -> Any:
        """The network API as the project's own user."""
        return self.tenant.cloud.network

    @property
    def imported(self) -> frozenset[str]:
        """All route targets that the VPN imports."""
        return frozenset((*self.rt, *self.imports))

    @property
    def exported(self) -> frozenset[str]:
        """All route targets that the VPN exports."""
        return frozenset((*self.rt, *self.exports))

    def join(
        self,
        member: Member,
        *,
        routes: Sequence[str | Vpn] = (),
        local_pref: int | None = None,
        fixed_ips: bool = True,
    ) -> Membership:
        """Associate a network, a router or a probe's first port with the VPN.

        Args:
            member: The network, the router (with all its networks) or the probe.
            routes: For a port: prefixes to announce through it, and VPNs whose routes are leaked.
            local_pref: For a port: the local preference of `routes`.
            fixed_ips: For a port: whether its own address is announced as well.
        """
        self.touch()
        with uninterrupted():
            if isinstance(member, Network):
                made = self.api.create_bgpvpn_network_association(self.id, network_id=member.id)
                kind = "network"
            elif isinstance(member, Router):
                made = self.api.create_bgpvpn_router_association(self.id, router_id=member.id)
                kind = "router"
            else:
                made = self.api.create_bgpvpn_port_association(
                    self.id,
                    port_id=member.ports[0].id,
                    routes=_routes(routes, local_pref),
                    advertise_fixed_ips=fixed_ips,
                )
                kind = "port"
            membership = Membership(self, member, kind, made.id)
            membership.prefixes = tuple(route for route in routes if isinstance(route, str))
            membership.fixed_ips = fixed_ips
            self.memberships.append(membership)
        return membership

    def update(
        self, rt: Sequence[str] = (), *, imports: Sequence[str] = (), exports: Sequence[str] = ()
    ) -> None:
        """Replace all route targets of the VPN."""
        self.touch()
        targets = {"route_targets": rt, "import_targets": imports, "export_targets": exports}
        made = self.tenant.admin.network.update_bgpvpn(
            self.id, **{name: list(given) for name, given in targets.items()}
        )
        self._read(made)

    def delete(self) -> None:
        """Delete the VPN and its associations; calling it again does nothing."""
        # Agents are not notified of a port whose VPN is deleted (networking_bgpvpn/neutron/
        # services/service_drivers/bagpipe/bagpipe_v2.py, _push_bgpvpn_associations).
        for membership in [each for each in self.memberships if each.kind == "port"]:
            membership.leave()
        self.touch()
        self.tenant.admin.network.delete_bgpvpn(self.id, ignore_missing=True)
        self.memberships.clear()

    def touch(self) -> None:
        """Note that the VPN changes now; `wait_converged` counts from here."""
        self._changed = time.monotonic()

    def wait_converged(self, timeout: float = 60) -> float:
        """Wait until the reflector has all routes and the nodes have flows for them.

        Args:
            timeout: Seconds.

        Returns:
            The seconds since the last change of the VPN.

        Raises:
            WaitError: Routes or flows are missing; the error lists them.
        """
        announced = self._announced()

        def look() -> bool | NotYet:
            missing = self._missing(announced)
            return not missing or NotYet(", ".join(missing))

        wait.until(
            f"{self} to be converged", look, timeout=timeout * self.tenant.patience, interval=0.2
        )
        return time.monotonic() - self._changed

    def _missing(self, announced: Sequence[Announced]) -> list[str]:
        """The missing routes and flows, as text."""
        routes = self.bgpvpn.reflector.routes()
        missing = [
            f"a route to {prefix} by {node}"
            for prefix, node, _ in announced
            if not any(
                route.prefix == prefix
                and route.next_hop == self.bgpvpn.speakers[node].address
                and route.targets >= self.exported
                for route in routes
            )
        ]
        if missing or not self.imported & self.exported:
            return missing
        places = {(node, network) for _, node, network in announced}
        for node in sorted({node for node, _ in places}):
            flows = self.bgpvpn.flows(node)
            for prefix, _, network in announced:
                wanted = sum(at == node and other != network for at, other in places)
                if len(flows.where(table=ROUTES, nw_dst=prefix.removesuffix("/32"))) < wanted:
                    missing.append(f"a flow to {prefix} on {node}")
        return missing

    def _announced(self) -> list[Announced]:
        api = self.tenant.admin.network
        found: dict[Announced, None] = {}
        for membership in self.memberships:
            member = membership.member
            if isinstance(member, Probe):
                asked = [api.get_port(member.ports[0].id)]
            else:
                inside = [member.id] if isinstance(member, Network) else _networks(api, member)
                asked = [port for one in inside for port in api.ports(network_id=one)]
            for port in asked:
                if not port.device_owner.startswith("compute:"):
                    continue
                addresses = [f"{each['ip_address']}/32" for each in port.fixed_ips]
                own = addresses if membership.fixed_ips else []
                for prefix in (*own, *membership.prefixes):
                    found[prefix, port.binding_host_id, port.network_id] = None
        return list(found)

    def _read(self, made: Any) -> None:
        self.rt: tuple[str, ...] = tuple(made.route_targets)
        self.imports: tuple[str, ...] = tuple(made.import_targets)
        self.exports: tuple[str, ...] = tuple(made.export_targets)


def _routes(routes: Iterable[str | Vpn], local_pref: int | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for route in routes:
        given: dict[str, Any] = (
            {"type": "prefix", "prefix": route}
            if isinstance(route, str)
            else {"type": "bgpvpn", "bgpvpn_id": route.id}
        )
        found.append(given | ({"local_pref": local_pref} if local_pref is not None else {}))
    return found


def _networks(api: Any, router: Router) -> list[str]:
    ports = api.ports(device_id=router.id, device_owner="network:router_interface")
    return [port.network_id for port in ports]
