"""A VPN: its route targets, who is in it, and whether all of that is known where it should be."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Router
from pytest_kollalab.sdn.tenant.scope import Temporary
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.reflector import Reflector
    from pytest_kollalab.features.bgpvpn.speaker import Speaker
    from pytest_kollalab.sdn.ovs.flows import Flows
    from pytest_kollalab.sdn.tenant.tenant import Tenant

# What bagpipe uses on br-mpls: what comes in, labels that arrive, the routes of each VPN instance.
INPUT, LABELS, ROUTES = 0, 1, 2

Member = Network | Router | Probe
# A prefix, the node that announces it, and the network that it is of.
Announced = tuple[str, str, str]


class Backbone(Protocol):
    """What VPNs are carried by: the route reflector, and a BGP speaker on each node."""

    @property
    def tenant(self) -> Tenant:
        """The project that the VPNs are of."""

    @property
    def reflector(self) -> Reflector:
        """The route reflector."""

    @property
    def speakers(self) -> Mapping[str, Speaker]:
        """The BGP speaker of each node."""

    def flows(self, node: str, *, settled: bool = False) -> Flows:
        """The flows of the MPLS bridge of a node."""


class Membership:
    """One thing's place in a VPN; as long as it is there, its addresses are announced."""

    def __init__(self, vpn: Vpn, member: Member, kind: str, id: str) -> None:
        self.vpn = vpn
        self.member = member
        self.kind = kind
        self.id = id
        self.prefixes: tuple[str, ...] = ()
        self.fixed_ips = True

    def leave(self) -> None:
        """End it; a second time does nothing."""
        remove = getattr(self.vpn.api, f"delete_bgpvpn_{self.kind}_association")
        remove(self.vpn.id, self.id, ignore_missing=True)
        if self in self.vpn.memberships:
            self.vpn.memberships.remove(self)
        self.vpn.touch()

    def announce(self, routes: Iterable[str | Vpn], *, local_pref: int | None = None) -> None:
        """Announce these prefixes, or leak these VPNs' routes, through the port instead."""
        listed = list(routes)
        self.vpn.api.update_bgpvpn_port_association(
            self.vpn.id, self.id, routes=_routes(listed, local_pref)
        )
        self.prefixes = tuple(route for route in listed if isinstance(route, str))
        self.vpn.touch()


class Vpn(Temporary):
    """A BGP VPN, made by `Bgpvpn.l3` or `Bgpvpn.l2`; as a context it is deleted at the end.

    `rt` are the route targets both imported and exported, `imports` and `exports` the others.
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
        """Every route target whose routes come in."""
        return frozenset((*self.rt, *self.imports))

    @property
    def exported(self) -> frozenset[str]:
        """Every route target that its own routes have."""
        return frozenset((*self.rt, *self.exports))

    def join(
        self,
        member: Member,
        *,
        routes: Sequence[str | Vpn] = (),
        local_pref: int | None = None,
        fixed_ips: bool = True,
    ) -> Membership:
        """Have a network, a router's networks or a probe's port in the VPN.

        `routes` of a port are prefixes that it leads to, or VPNs whose routes lead through it;
        `fixed_ips` is whether its own address is announced as well.
        """
        self.touch()
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
        """Give it these route targets instead."""
        self.touch()
        targets = {"route_targets": rt, "import_targets": imports, "export_targets": exports}
        made = self.tenant.admin.network.update_bgpvpn(
            self.id, **{name: list(given) for name, given in targets.items()}
        )
        self._read(made)

    def delete(self) -> None:
        """Remove it, with all who are in it; a second time does nothing."""
        # The agents are not told of a port whose VPN is deleted (networking_bgpvpn/neutron/
        # services/service_drivers/bagpipe/bagpipe_v2.py, _push_bgpvpn_associations).
        for membership in [each for each in self.memberships if each.kind == "port"]:
            membership.leave()
        self.touch()
        self.tenant.admin.network.delete_bgpvpn(self.id, ignore_missing=True)
        self.memberships.clear()

    def touch(self) -> None:
        """Count the seconds from now on."""
        self._changed = time.monotonic()

    def wait_converged(self, timeout: float = 60) -> float:
        """Wait until the reflector has all routes and the nodes have them in their dataplane.

        The seconds since the VPN was last changed. Raises WaitError with what is missing.
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
        """What should be known of the VPN's members and is not, in words."""
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
