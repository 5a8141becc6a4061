"""OpenDaylight: its routes and sessions, and routes that are injected through its RESTCONF."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

from pytest_kollalab.features.bgpvpn.reflector import Route
from pytest_kollalab.features.opendaylight import rib
from pytest_kollalab.features.opendaylight.feature import (
    APPLICATION,
    INSTANCE,
    NEIGHBORS,
    REFLECTOR,
    RIB,
)
from pytest_kollalab.features.opendaylight.restconf import Restconf, RestconfError
from pytest_kollalab.sdn.tenant.network import Target, address_of
from pytest_kollalab.sdn.tenant.scope import Scope, Temporary
from pytest_kollalab.system import process, wait
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

OPENDAYLIGHT = "opendaylight"
AS = 64512
UNIT = "kolla-opendaylight-container.service"
LOCAL = f"bgp-rib:bgp-rib/rib={RIB}/loc-rib"
INJECTED = f"bgp-rib:application-rib={APPLICATION}/{rib.TABLES[rib.VPNV4]}/{rib.VPNV4}"
PEERS = f"bgp-rib:bgp-rib/rib={RIB}"
VPNV4_FAMILY = "openconfig-bgp-types:L3VPN-IPV4-UNICAST"
ESTABLISHED = "ESTABLISHED"
# In seconds: as a rule a route is sent within a tenth of one.
SENT_WITHIN = 10.0

# An IPv4 address as a socket of IPv6 has it.
LOCAL_ADDRESS = re.compile(r"^\[::ffff:([\d.]+)\]:(\d+)$")

T = TypeVar("T")


@dataclass(frozen=True)
class Neighbor:
    """A BGP session of OpenDaylight, which is true when it is established.

    Attributes:
        address: The address of the peer.
        state: The state as OpenDaylight names it.
        hold_time: The negotiated hold time in seconds.
        received: The number of VPNv4 routes that were received.
        installed: The number of those that are in the local RIB.
        sent: The number of VPNv4 routes that were sent.
    """

    address: str
    state: str
    hold_time: float
    received: int
    installed: int
    sent: int

    def __bool__(self) -> bool:
        return self.state == ESTABLISHED


class Injected(Temporary):
    """A route that was injected; as a context manager it is withdrawn when the block ends.

    `prefix`, `rd`, `targets`, `next_hop`, `label` and `local_pref` are as they were given.
    """

    def __init__(self, opendaylight: OpenDaylight, key: str, route: Route) -> None:
        self._opendaylight = opendaylight
        self.key = key
        self.route = route

    def __repr__(self) -> str:
        return f"Injected({self.route.prefix} by {self.route.next_hop})"

    def delete(self) -> None:
        """Withdraw the route; calling it again does nothing."""
        with suppress(NotInjectedError):
            self._opendaylight.withdraw(self)


class NotInjectedError(KollalabError):
    """The route that is to be withdrawn is not there."""


class OpenDaylight(Scope):
    """The BGP controller of a lab; an oracle for the words of `bgpvpn`.

    Args:
        restconf: Its RESTCONF.
        ssh: The connection to the nodes.
        node: The node that it runs on.
        owner: The name of the tenant whose routes are injected.
        patience: The factor by which deadlines are multiplied.
    """

    def __init__(
        self, restconf: Restconf, ssh: Ssh, node: str, *, owner: str, patience: float = 1
    ) -> None:
        super().__init__()
        self.restconf = restconf
        self.ssh = ssh
        self.node = node
        self.patience = patience
        self._owner = f"{owner}.{process.mark()}"
        self._count = 0
        self._unsent: list[Injected] = []

    def __enter__(self) -> Self:
        self._withdraw_abandoned()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def rib(self) -> list[Route]:
        """All routes of the local RIB: the best ones of VPNv4, then those of EVPN."""
        return [*self.routes(), *self.evpn_routes()]

    def routes(self) -> list[Route]:
        """The VPNv4 routes of the local RIB. Raises KollalabError."""
        return self._table(LOCAL, rib.VPNV4)

    def evpn_routes(self) -> list[Route]:
        """The EVPN routes of the local RIB. Raises KollalabError."""
        return self._table(LOCAL, rib.EVPN)

    def received(self) -> list[Route]:
        """The VPNv4 routes that the reflector has sent, before any policy. Raises KollalabError."""
        return self._table(f"{self._peer()}/adj-rib-in", rib.VPNV4)

    def sent(self) -> list[Route]:
        """The VPNv4 routes that were sent to the reflector. Raises KollalabError."""
        return self._table(f"{self._peer()}/adj-rib-out", rib.VPNV4)

    def injected(self) -> list[Route]:
        """The routes that were injected, by anybody. Raises KollalabError."""
        return rib.parse_routes(self._injected())

    def neighbors(self) -> dict[str, Neighbor]:
        """The sessions by the address of the peer. Raises KollalabError."""
        return parse_neighbors(self.restconf.look(NEIGHBORS))

    @property
    def established(self) -> bool:
        """Whether the session with the reflector is established. Raises KollalabError."""
        return bool(self.neighbors().get(REFLECTOR))

    def inject(
        self,
        prefix: Target,
        rt: str | Iterable[str],
        next_hop: str,
        label: int,
        *,
        rd: str | None = None,
        local_pref: int = 100,
    ) -> Injected:
        """Inject a VPNv4 route, and wait until it is sent to the reflector if there is a session.

        The route is withdrawn with the scope.

        Args:
            prefix: The prefix, or a probe or address for the prefix of that one address.
            rt: The route target, or several.
            next_hop: The address that packets are sent to.
            label: The MPLS label that they get.
            rd: The route distinguisher; a random one that nobody else uses if none is given.
            local_pref: The local preference.

        Raises:
            ConfigError: An argument is not valid.
            KollalabError: OpenDaylight refuses the route or does not answer.
            WaitError: It is not sent.
        """
        whole = _prefix(prefix)
        rd = rd if rd is not None else f"{AS}:{secrets.randbelow(2**31) + 2**16}"
        self._count += 1
        key = f"{self._owner}.{self._count}"
        targets = (rt,) if isinstance(rt, str) else tuple(rt)
        body = rib.body(key, whole, targets, next_hop, label, rd=rd, local_pref=local_pref)
        route = Route(rd, whole, next_hop, frozenset(targets), label, local_pref)
        made = Injected(self, key, route)
        self.undo.callback(made.delete)
        self.restconf.ask("POST", INJECTED, body)
        self._unsent.append(made)
        self.later(self._await_sent)
        return made

    def withdraw(self, route: Injected | Target) -> None:
        """Withdraw a route, or all routes of this scope to a prefix, probe or address.

        Raises:
            NotInjectedError: There is no such route.
            KollalabError: OpenDaylight does not answer.
        """
        if isinstance(route, Injected):
            self._delete(route.key)
            return
        prefix = _prefix(route)
        found = [
            key
            for key, each in rib.keys(self._injected()).items()
            if each.prefix == prefix and key.startswith(f"{self._owner}.")
        ]
        if not found:
            raise NotInjectedError(f"no route to {prefix} was injected here")
        for key in found:
            self._delete(key)

    def wait_ready(self, timeout: float = 180) -> float:
        """Wait until RESTCONF serves the BGP speaker, and return the seconds that it took.

        Raises:
            WaitError: It does not in time; the error has what it answered last.
        """

        def look() -> bool | NotYet:
            try:
                self.restconf.ask("GET", INSTANCE)
            except KollalabError as error:
                return NotYet("; ".join(filter(None, (error.brief, error.details))))
            return True

        return self._await("OpenDaylight to be ready", look, timeout)

    def wait_established(self, timeout: float = 120, *, down: bool = False) -> float:
        """Wait until the session with the reflector is up (or, with `down`, is not).

        Returns:
            The seconds that it took.

        Raises:
            WaitError: It is not in time; the error has what was seen last.
        """

        def look() -> bool | NotYet:
            try:
                found = self.neighbors().get(REFLECTOR)
            except KollalabError as error:
                return NotYet("; ".join(filter(None, (error.brief, error.details))))
            return bool(found) is not down or NotYet(f"{found}")

        what = "the end of OpenDaylight's session" if down else "OpenDaylight's session"
        return self._await(f"{what} with the reflector", look, timeout)

    def listens_at(self) -> set[str]:
        """The addresses, with their ports, at which its process accepts connections."""
        listed = self.ssh.run(self.node, ["ss", "--listening", "--tcp", "--numeric", "-HOp"]).stdout
        return {
            LOCAL_ADDRESS.sub(r"\1:\2", line.split()[3])
            for line in listed.splitlines()
            if '("java",' in line
        }

    def restart(self) -> None:
        """Restart its container and return when that is done; it answers later."""
        self.ssh.run(self.node, ["systemctl", "restart", UNIT], timeout=180)

    def kill(self) -> None:
        """Kill its process, as the kernel does when memory runs out; its container is restarted."""
        argv = ["docker", "exec", "opendaylight", "pkill", "-KILL", "-f", "org.apache.karaf.main"]
        self.ssh.run(self.node, argv)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop its container until the block ends. It answers some time later."""
        self.ssh.run(self.node, ["systemctl", "stop", UNIT], timeout=180)
        try:
            yield
        finally:
            self.ssh.run(self.node, ["systemctl", "start", UNIT], timeout=180)

    def _await_sent(self) -> None:
        """Wait until all routes that were injected since the last call are sent."""
        unsent, self._unsent = self._unsent, []
        if not unsent or not self.established:
            return

        def look() -> bool | NotYet:
            there = {(each.rd, each.prefix) for each in self.sent()}
            left = [made for made in unsent if (made.route.rd, made.route.prefix) not in there]
            return not left or NotYet(f"not sent: {', '.join(map(str, left))}")

        what = "the injected routes to be sent"
        wait.until(what, look, timeout=SENT_WITHIN * self.patience, interval=0.1)

    def _delete(self, key: str) -> None:
        try:
            self.restconf.ask("DELETE", f"{INJECTED}/vpn-route={quote(key, safe='')},0")
        except RestconfError as error:
            if error.absent:
                raise NotInjectedError("there is no such route", details=error.brief) from error
            raise

    def _withdraw_abandoned(self) -> None:
        """Withdraw the routes of test runs that were killed."""
        for key in rib.keys(self._injected()):
            if process.left_by_the_dead(key):
                with suppress(NotInjectedError):
                    self._delete(key)

    def _injected(self) -> Mapping[str, Any]:
        return self.restconf.look(INJECTED, config=True)

    def _table(self, owner: str, family: str) -> list[Route]:
        # The table is there without routes; what is in it is not.
        path = f"{owner}/{rib.TABLES[family]}?content=nonconfig"
        return rib.parse_routes(self.restconf.ask("GET", path))

    def _peer(self) -> str:
        """The path of the reflector, which OpenDaylight knows by its BGP identifier."""
        found = self.restconf.look(PEERS, fields="peer(peer-id;peer-role)")
        for each in found.get("bgp-rib:rib", [{}])[0].get("peer", ()):
            if each.get("peer-role") != "internal":
                return f"{PEERS}/peer={quote(each['peer-id'], safe='')}"
        raise KollalabError("OpenDaylight has no session with the reflector")

    def _await(self, what: str, look: Callable[[], T | NotYet], timeout: float) -> float:
        started = time.monotonic()
        wait.until(what, look, timeout=timeout * self.patience)
        return time.monotonic() - started


def parse_neighbors(document: Mapping[str, Any]) -> dict[str, Neighbor]:
    """Parse the state of neighbours. The table of injected routes is listed too, and left out."""
    listed = document.get("bgp-openconfig-extensions:neighbors", {}).get("neighbor", ())
    found = {}
    for each in listed:
        address = str(each["neighbor-address"])
        if address == APPLICATION:
            continue
        families = {f["afi-safi-name"]: f for f in each.get("afi-safis", {}).get("afi-safi", ())}
        counts = families.get(VPNV4_FAMILY, {}).get("state", {}).get("prefixes", {})
        timers = each.get("timers", {}).get("state", {})
        found[address] = Neighbor(
            address,
            str(each.get("state", {}).get("session-state", "IDLE")),
            float(timers.get("negotiated-hold-time", 0)),
            *(int(counts.get(name, 0)) for name in ("received", "installed", "sent")),
        )
    return found


def _prefix(to: Target) -> str:
    address = address_of(to)
    return address if "/" in address else f"{address}/32"
