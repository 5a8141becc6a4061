"""The route reflector: its routes and sessions, parsed from the JSON output of FRR."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

TARGET = re.compile(r"\bRT:(\S+)")
# Where FRR runs: the unit of its container, and the namespace of its addresses.
UNIT = "kolla-frr-container.service"
NAMESPACE = "reflector"
LOG = "/var/log/kolla/frr/frr.log"
EXEC = ("docker", "exec", "frr")
UNSIGNED = "TcpExtTCPMD5NotFound"
# Types of EVPN routes: a MAC and IP address, and inclusive multicast.
MACIP, MULTICAST = 2, 3

_LEADING_COMMA = re.compile(r"\A\s*\{\s*,")


@dataclass(frozen=True)
class Route:
    """One path to a prefix.

    Attributes:
        rd: The route distinguisher.
        prefix: The prefix.
        next_hop: The address that packets are sent to.
        targets: The route targets, as text. FRR writes one with an AS of four bytes (RFC 5668) like
            one of two bytes, although a VPN that imports the one does not import the other.
        label: The MPLS label, or the VNI of an EVPN route.
        local_pref: The local preference.
        mac: The MAC address of an EVPN route.
        kind: The type of an EVPN route, 0 for others.
    """

    rd: str
    prefix: str
    next_hop: str
    targets: frozenset[str]
    label: int | None = None
    local_pref: int | None = None
    mac: str = ""
    kind: int = 0


@dataclass(frozen=True)
class BgpSession:
    """A BGP session with a peer, which is true when it is established.

    Attributes:
        peer: The address of the peer.
        state: The state as FRR names it.
        routes: The number of routes that were received from the peer.
        times: How often it has been established.
    """

    peer: str
    state: str
    routes: int
    times: int = 0

    def __bool__(self) -> bool:
        return self.state == "Established"


class Reflector:
    """The route reflector: FRR on a node."""

    def __init__(self, ssh: Ssh, node: str) -> None:
        self.ssh = ssh
        self.node = node
        self._mark = 1

    def vtysh(self, *commands: str) -> str:
        """Run commands of FRR's shell one after the other, and return their output."""
        words = [word for command in commands for word in ("-c", command)]
        return self.ssh.run(self.node, [*EXEC, "vtysh", *words]).stdout

    def configure(self, *lines: str) -> None:
        """Enter lines into the running configuration."""
        self.vtysh("configure terminal", *lines)

    def routes(self) -> list[Route]:
        """The VPNv4 routes."""
        return parse_routes(self.vtysh("show bgp ipv4 vpn detail json"))

    def evpn_routes(self) -> list[Route]:
        """The EVPN routes."""
        return parse_evpn(self.vtysh("show bgp l2vpn evpn route detail json"))

    def sessions(self) -> dict[str, BgpSession]:
        """The sessions for VPNv4, by the address of the peer."""
        return parse_sessions(self.vtysh("show bgp ipv4 vpn summary json"))

    def wait_established(self, peer: str, timeout: float = 120) -> float:
        """Wait until the session with a peer is established, and return the seconds that it took.

        Raises:
            WaitError: It is not established in time.
        """
        started = time.monotonic()

        def look() -> BgpSession | NotYet | None:
            session = self.sessions().get(peer)
            return session or NotYet(f"{session}")

        wait.until(f"the session with {peer}", look, timeout=timeout)
        return time.monotonic() - started

    def await_complaint(self, peer: str, words: str, timeout: float = 60) -> None:
        """Wait until FRR refuses a connection of a peer for a reason, in a block of `expecting`.

        The reason is read from FRR's log, because FRR does not keep it for connections that the
        peer opened.

        Args:
            peer: The address of the peer.
            words: Text that is part of the reason.
            timeout: Seconds.

        Raises:
            WaitError: There is no such line; the error has those that FRR wrote.
        """
        told = f"sent to neighbor {peer} "

        def look() -> bool | NotYet:
            said = self.ssh.run(self.node, [*EXEC, "tail", "-c", f"+{self._mark}", LOG]).stdout
            found = [line for line in said.splitlines() if told in line]
            return any(words in line for line in found) or NotYet(", ".join(found))

        wait.until(f"{peer} to be refused for {words!r}", look, timeout=timeout)

    def unsigned(self) -> int:
        """The number of dropped TCP segments without an MD5 signature that had to have one."""
        nstat = ["ip", "netns", "exec", NAMESPACE, "nstat", "--ignore", "--zeros", "--json"]
        said = self.ssh.run(self.node, [*nstat, UNSIGNED]).stdout
        return int(json.loads(said)["kernel"][UNSIGNED])

    def await_unsigned(self, before: int, timeout: float = 60) -> None:
        """Wait until more unsigned segments than `before` have been dropped. Raises WaitError."""

        def look() -> bool | NotYet:
            now = self.unsigned()
            return now > before or NotYet(f"{now} as before")

        wait.until("the kernel to drop segments without a signature", look, timeout=timeout)

    def reset(self, peer: str) -> None:
        """End the session with a peer; the peer may open another one."""
        self.vtysh(f"clear bgp {peer}")

    @contextmanager
    def expecting(self, peer: str, *lines: str) -> Iterator[None]:
        """Change a peer's configuration, such as `password secret`, until the block ends."""
        router, mine = "router bgp 64512", f"neighbor {peer}"
        before = parse_neighbor(self._running(), peer)
        size = self.ssh.run(self.node, [*EXEC, "wc", "-c", LOG]).stdout.split()[0]
        self._mark = int(size) + 1
        try:
            self.configure(router, *(f"{mine} {line}" for line in lines))
            yield
        finally:
            back = [f"no {mine} password" for line in lines if line.startswith("password")]
            self.configure(router, *back, *before)

    @contextmanager
    def taking_additional_paths(self, peer: str) -> Iterator[None]:
        """Offer to take additional VPNv4 paths from a peer until the block ends.

        Its session is reset before and after.
        """
        enter = ("router bgp 64512", "address-family ipv4 vpn")
        with self._without(peer, *enter, line=f"neighbor {peer} disable-addpath-rx"):
            yield

    @contextmanager
    def helping_to_restart(self, peer: str) -> Iterator[None]:
        """Tell a peer that a restart may be graceful (RFC 4724), as FRR does by default.

        Its session is reset before and after the block.
        """
        line = f"neighbor {peer} graceful-restart-disable"
        with self._without(peer, "router bgp 64512", line=line):
            yield

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop FRR until the block ends."""
        self.ssh.run(self.node, ["systemctl", "stop", UNIT], timeout=120)
        try:
            yield
        finally:
            self.ssh.run(self.node, ["systemctl", "start", UNIT], timeout=120)
            self._await_answer()

    @contextmanager
    def deaf_to(self, peer: str) -> Iterator[None]:
        """Drop all packets from a peer until the block ends."""
        rule = ["INPUT", "--source", peer, "--jump", "DROP"]
        iptables = ["ip", "netns", "exec", NAMESPACE, "iptables", "--wait"]
        self.ssh.run(self.node, [*iptables, "--append", *rule])
        try:
            yield
        finally:
            self.ssh.run(self.node, [*iptables, "--delete", *rule])

    @contextmanager
    def _without(self, peer: str, *enter: str, line: str) -> Iterator[None]:
        try:
            self._configure_anew(peer, *enter, f"no {line}")
            yield
        finally:
            self._configure_anew(peer, *enter, line)

    def _configure_anew(self, peer: str, *lines: str, timeout: float = 120) -> None:
        """Enter lines that count from the next session with a peer, and wait for that session."""
        before = self.sessions()[peer].times
        self.configure(*lines)
        self.reset(peer)

        def look() -> bool | NotYet:
            session = self.sessions().get(peer)
            anew = session is not None and bool(session) and session.times > before
            return anew or NotYet(f"{session}")

        wait.until(f"a new session with {peer}", look, timeout=timeout)

    def _await_answer(self, timeout: float = 60) -> None:
        """Wait until the daemons answer, which start later than their container."""

        def look() -> bool | NotYet:
            asked = [*EXEC, "vtysh", "-c", "show bgp summary json"]
            done = self.ssh.run(self.node, asked, check=False)
            return done.returncode == 0 or NotYet(done.stderr.strip() or done.stdout.strip())

        wait.until("FRR to answer", look, timeout=timeout)

    def _running(self) -> str:
        return self.vtysh("show running-config")


def parse_neighbor(config: str, peer: str) -> list[str]:
    """The lines about a neighbour in a running configuration, in a form that can be entered again.

    Those in address families are included, because FRR drops them when the neighbour's AS changes.
    """
    top: list[str] = []
    families: dict[str, list[str]] = {}
    mine = top
    for line in map(str.strip, config.splitlines()):
        if line.startswith("address-family "):
            mine = families.setdefault(line, [])
        elif line == "exit-address-family":
            mine = top
        elif line.startswith(f"neighbor {peer} "):
            mine.append(line)
    inner = [[name, *found, "exit-address-family"] for name, found in families.items() if found]
    return [*top, *(line for family in inner for line in family)]


def parse_routes(text: str) -> list[Route]:
    """Parse the output of `show bgp ipv4 vpn detail json`."""
    # Distinguishers that FRR writes alike are one name, which the object then has twice.
    document = json.loads(text or "{}", object_pairs_hook=_merged)
    return [_route(path, rd=rd, prefix=prefix) for rd, prefix, path in _paths(document)]


def _merged(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found[name] = _both(found[name], value) if name in found else value
    return found


def _both(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return _merged([*one.items(), *other.items()])
    if isinstance(one, list) and isinstance(other, list):
        return [*one, *other]
    return other


def _paths(document: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    distinguishers = document.get("routes", {}).get("routeDistinguishers", {})
    for rd, prefixes in distinguishers.items():
        for prefix, entry in prefixes.items():
            paths = entry["paths"] if isinstance(entry, dict) else entry
            for path in paths:
                yield rd, prefix, path


def parse_evpn(text: str) -> list[Route]:
    """Parse the output of `show bgp l2vpn evpn route detail json`."""
    # Without any route, the JSON object begins with a comma (FRR 10.3, bgp_evpn_vty.c).
    return list(_evpn(json.loads(_LEADING_COMMA.sub("{", text) or "{}")))


def _evpn(document: Mapping[str, Any]) -> Iterator[Route]:
    for rd, entries in document.items():
        for prefix, entry in entries.items() if isinstance(entries, dict) else ():
            if not isinstance(entry, dict) or "paths" not in entry:
                continue
            for paths in entry["paths"]:
                for path in paths if isinstance(paths, list) else [paths]:
                    # The fields of the prefix are in the entry, beside its paths.
                    yield _route({**entry, **path}, rd=rd, prefix=prefix)


def _route(path: Mapping[str, Any], *, rd: str, prefix: str) -> Route:
    community = path.get("extendedCommunity", {}).get("string", "")
    hops = [hop["ip"] for hop in path.get("nexthops", ()) if hop.get("ip")]
    label = path.get("remoteLabel", path.get("vni", path.get("pmsi", {}).get("label")))
    return Route(
        rd=rd,
        prefix=prefix,
        next_hop=hops[0] if hops else "",
        targets=frozenset(TARGET.findall(community)),
        label=int(label) if label is not None else None,
        local_pref=path.get("locPrf"),
        mac=path.get("mac", ""),
        kind=int(path.get("routeType", 0)),
    )


def parse_sessions(text: str) -> dict[str, BgpSession]:
    """Parse the output of `show bgp ipv4 vpn summary json`."""
    document = json.loads(text or "{}")
    peers = document.get("peers", document.get("ipv4Vpn", {}).get("peers", {}))
    return {
        peer: BgpSession(
            peer,
            found["state"],
            int(found.get("pfxRcd", 0)),
            int(found.get("connectionsEstablished", 0)),
        )
        for peer, found in peers.items()
    }
