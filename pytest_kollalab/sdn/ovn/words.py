"""What a scenario says of OVN."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn import figures
from pytest_kollalab.sdn.capture.packets import Packet
from pytest_kollalab.sdn.ovn import conntrack, headers, logical, physical
from pytest_kollalab.sdn.ovn.conntrack import TrackedConnection
from pytest_kollalab.sdn.ovn.databases import NORTHBOUND, SOUTHBOUND, OvnDatabase
from pytest_kollalab.sdn.ovn.logical import LogicalTrace
from pytest_kollalab.sdn.ovn.physical import SwitchTrace
from pytest_kollalab.sdn.tenant.network import address_of
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import CommandError, KollalabError, WaitError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network, Target
    from pytest_kollalab.system.ssh import Ssh

CONTROLLER = "controller-1"
NORTHBOUND_SOCKET = "unix:/run/ovn/ovnnb_db.sock"
SOUTHBOUND_SOCKET = "unix:/run/ovn/ovnsb_db.sock"
# Seconds in which all chassis have to have what the northbound database says.
SYNC = 60
# The first packet of a connection passes connection tracking once for each switch and router on
# its way. ovn-trace takes later passes for those of an established connection unless told.
PASSES = 12
IPV4 = 0x0800
NORTHD_LOG = "/var/log/kolla/openvswitch/ovn-northd.log"
# $1: the bridge, $2: the flow, $3 and $4: the databases; then the states of connection tracking.
EXPLAIN = """\
bridge=$1 flow=$2 northbound=$3 southbound=$4
shift 4
docker exec openvswitch_vswitchd ovs-appctl -T 20 ofproto/trace "$@" "$bridge" "$flow" |
    timeout 60 docker exec --interactive ovn_controller ovn-detrace --ovs \\
        --ovnnb="$northbound" --ovnsb="$southbound"
"""


class Ovn:
    """OVN in a lab: its databases, its logical pipeline and its switches.

    Args:
        cloud: The administrator's connection.
        ssh: Runs commands on the nodes.
        controller: The address of the controller on the management network.
        patience: The factor by which every deadline is multiplied on slow nodes.
    """

    def __init__(
        self, cloud: Connection, ssh: Ssh, controller: str, *, patience: float = 1.0
    ) -> None:
        self.cloud = cloud
        self.ssh = ssh
        self.controller = controller
        self.patience = patience

    # The databases

    @cached_property
    def northbound(self) -> OvnDatabase:
        """The database with what is wanted: switches, routers, ports, rules."""
        return self._database(NORTHBOUND)

    @cached_property
    def southbound(self) -> OvnDatabase:
        """The database with what is made of it: logical flows, chassis, bindings of ports."""
        return self._database(SOUTHBOUND)

    def close(self) -> None:
        """End the connections to the databases."""
        self.northbound.close()
        self.southbound.close()

    def nbctl(self, *words: str) -> str:
        """Run ovn-nbctl on the controller and return its output. Raises CommandError."""
        argv = ["docker", "exec", "ovn_nb_db", "ovn-nbctl", f"--db={NORTHBOUND_SOCKET}"]
        return self.ssh.run(CONTROLLER, [*argv, "--timeout=30", *words]).stdout

    def sbctl(self, *words: str) -> str:
        """Run ovn-sbctl on the controller and return its output. Raises CommandError."""
        argv = ["docker", "exec", "ovn_sb_db", "ovn-sbctl", f"--db={SOUTHBOUND_SOCKET}"]
        return self.ssh.run(CONTROLLER, [*argv, "--timeout=30", *words]).stdout

    def sync(self) -> float:
        """Wait until every chassis has put everything into its switch.

        What `northbound` and `southbound` tell is then as new.

        Returns:
            The seconds that it took. They are a figure.

        Raises:
            WaitError: It takes longer than a minute. The details have the end of northd's log.
        """
        seconds = self._sync()
        figures.record("OVN in sync", seconds)
        return seconds

    def _sync(self) -> float:
        within = SYNC * self.patience
        argv = ["docker", "exec", "ovn_nb_db", "ovn-nbctl", f"--db={NORTHBOUND_SOCKET}"]
        argv += [f"--timeout={within:.0f}", "--wait=hv", "sync"]
        began = time.monotonic()
        try:
            self.ssh.run(CONTROLLER, argv, timeout=within + 10)
        except CommandError as error:
            raise self._unsynced(error, within) from error
        seconds = time.monotonic() - began
        followed = [d for d in (self.northbound, self.southbound) if d.is_open]
        number = int(self.nbctl("get", "NB_Global", ".", "nb_cfg")) if followed else 0
        for database in followed:

            def look(database: OvnDatabase = database) -> bool | NotYet:
                known = database.configuration
                return known >= number or NotYet(f"configuration {known} of {number}")

            wait.until(f"the copy of {database.name}", look, timeout=within, interval=0.02)
        return seconds

    def chassis_of(self, port: str) -> str:
        """The chassis that a port is bound to, or an empty string.

        Args:
            port: The logical port; for one of Neutron's, its id. That of a router's gateway is
                `cr-lrp-` and the id of the router's port.
        """
        columns = ["--format=json", "--columns=chassis", "find", "Port_Binding"]
        rows = json.loads(self.sbctl(*columns, f'logical_port="{port}"'))["data"]
        chassis = {found[1] for row in rows for found in [row[0]] if found[0] == "uuid"}
        names = ["--bare", "--columns=hostname", "list", "Chassis"]
        return "".join(self.sbctl(*names, each).strip() for each in chassis)

    def keys(self, port: str) -> tuple[int, int]:
        """The numbers in the headers of tunnels: of a port's network, and of the port in it.

        Raises:
            KollalabError: OVN has no such port.
        """
        rows = self.southbound.rows
        self._sync()
        for row in rows("Port_Binding"):
            if row["logical_port"] == port:
                return int(row["datapath"].tunnel_key), int(row["tunnel_key"])
        raise KollalabError(
            f"OVN has no port {port}",
            details="its southbound database has no binding of it",
            hint="was it deleted? `ovn.sync()` waits for OVN",
        )

    # What OVN would do, and what its switches do

    def packet(
        self,
        src: Probe,
        dst: Target,
        protocol: str = "icmp",
        *,
        port: int = 80,
        source_port: int = 40000,
        ttl: int = 64,
    ) -> Packet:
        """The first packet that a probe sends to a target: a ping, a SYN or a datagram.

        Args:
            src: The probe.
            dst: A probe, a server or an IPv4 address.
            protocol: icmp, tcp or udp.
            port: The destination port of TCP and UDP.
            source_port: The source port.
            ttl: The TTL.
        """
        told: dict[str, Any] = {"icmp": (8, 0)}
        if protocol != "icmp":
            told = {"sport": source_port, "dport": port}
        return Packet(
            time=0.0,
            src_mac=src.mac,
            dst_mac=self.next_hop(src, dst),
            ethertype=IPV4,
            length=0,
            src=src.ip,
            dst=address_of(dst),
            protocol=protocol,
            ttl=ttl,
            **told,
        )

    def next_hop(self, src: Probe, dst: Target) -> str:
        """The MAC address that a probe sends to: the target's, or its router's.

        Raises:
            KollalabError: Neither the target nor a router is in the probe's network.
        """
        api: Any = self.cloud.network
        for address in (address_of(dst), src.network.gateway):
            found = api.ports(
                network_id=src.network.id, fixed_ips=f"ip_address={address}", fields=["mac_address"]
            )
            for port in found if address else ():
                return str(port.mac_address)
        raise KollalabError(
            f"{src.name} has no way to {address_of(dst)}",
            details=f"nothing in the network {src.network.name} has this address, nor that of the "
            f"gateway, {src.network.gateway}",
            hint="make a router for the network",
        )

    def trace(
        self,
        src: Probe,
        dst: Target | Packet,
        protocol: str = "icmp",
        *,
        port: int = 80,
        established: bool = False,
        backend: str = "",
    ) -> LogicalTrace:
        """What OVN's logical pipeline would do with a packet, without sending one.

        Args:
            src: The probe that would send it.
            dst: A probe, a server or an IPv4 address, or the packet itself.
            protocol: icmp, tcp or udp.
            port: The destination port of TCP and UDP.
            established: Whether the packet belongs to a connection that is established.
            backend: The address and port that a load balancer chooses; by default any.

        Raises:
            KollalabError: ovn-trace cannot follow the packet.
        """
        packet = dst if isinstance(dst, Packet) else self.packet(src, dst, protocol, port=port)
        states = ["--ct=est" if established else "--ct=new"] * PASSES
        choice = [f"--lb-dst={backend}"] if backend else []
        argv = ["docker", "exec", "ovn_sb_db", "ovn-trace", f"--db={SOUTHBOUND_SOCKET}"]
        argv += ["--no-friendly-names", *states, *choice, f"neutron-{src.network.id}"]
        argv.append(headers.expression(packet, src.ports[0].id))
        found = logical.parse_trace(self._named(self.ssh.run(CONTROLLER, argv, timeout=60).stdout))
        if not found.steps:
            # It ends with 0 whatever is wrong.
            raise KollalabError(
                "ovn-trace did not follow the packet",
                details=found.text.strip() or "it said nothing",
                hint="is the port of the probe still there? `ovn.sync()` waits for OVN",
            )
        return found

    def explain(self, src: Probe, packet: Packet, *, passes: int = PASSES) -> SwitchTrace:
        """What the tables of a probe's node would do with a packet that the probe sends.

        Args:
            src: The probe.
            packet: The packet, such as one of a capture; see `packet`.
            passes: How often connection tracking takes it for the first packet of a connection;
                later it is one of a connection that is established.
        """
        states = ["--ct-next", "trk,new"] * passes
        databases = [f"tcp:{self.controller}:{port}" for _, port in (NORTHBOUND, SOUTHBOUND)]
        words = ["br-int", headers.flow(packet, src.device), *databases, *states]
        argv = ["sh", "-eu", "-s", "--", *words]
        said = self.ssh.run(src.node, argv, input=EXPLAIN, timeout=120).stdout
        found = physical.parse_explained(src.node, said, src.device)
        if not found.steps:
            raise KollalabError(
                f"the switch of {src.node} did not follow the packet",
                details=said.strip() or "it said nothing",
                hint=f"is {src.device} still a port of br-int?",
            )
        return found

    def connections(self, node: str) -> list[TrackedConnection]:
        """The connections that the switch of a node tracks, each with the owner of its zone."""
        zones = self._appctl("ovn_controller", node, "ovn-appctl", "ct-zone-list")
        said = self._appctl("openvswitch_vswitchd", node, "ovs-appctl", "dpctl/dump-conntrack")
        return conntrack.parse_connections(said, conntrack.parse_zones(zones))

    # What Neutron's API has no word for

    @contextmanager
    def mirrored(
        self, port: str, to: str, *, kind: str = "gre", key: int = 1, ways: str = "both"
    ) -> Iterator[str]:
        """Mirror what passes a port until the block ends.

        Args:
            port: The id of the port.
            to: The address that copies are sent to in a tunnel, or for the kind `local` the
                `external_ids:mirror-id` of an interface on the port's node.
            kind: gre, erspan or local.
            key: The key of the tunnel.
            ways: `from-lport` for what the port sends, `to-lport` for what it gets, or `both`; some
                packets are then copied twice.

        Yields:
            The name of the mirror.
        """
        name = f"kollalab-{port[:8]}"
        index = [] if kind == "local" else [str(key)]
        self.nbctl("mirror-add", name, kind, *index, ways, to)
        try:
            self.nbctl("lsp-attach-mirror", port, name)
            self.sync()
            yield name
        finally:
            self.nbctl("lsp-detach-mirror", port, name)
            self.nbctl("mirror-del", name)
            self.sync()

    @contextmanager
    def balanced(
        self,
        network: Network,
        address: str,
        port: int,
        to: Iterable[tuple[Probe, int]],
        *,
        protocol: str = "tcp",
    ) -> Iterator[str]:
        """Have OVN share connections to an address of a network among probes, until the block ends.

        Args:
            network: The network whose probes may use the address.
            address: The address, which nothing else has.
            port: The port.
            to: The probes, each with the port that it listens on.
            protocol: tcp or udp.

        Yields:
            The name of the load balancer.
        """
        name = f"kollalab-{network.id[:8]}-{port}"
        backends = ",".join(f"{probe.ip}:{its}" for probe, its in to)
        self.nbctl("lb-add", name, f"{address}:{port}", backends, protocol)
        try:
            self.nbctl("ls-lb-add", f"neutron-{network.id}", name)
            self.sync()
            yield name
        finally:
            self.nbctl("--if-exists", "lb-del", name)
            self.sync()

    # How it is done

    def _database(self, which: tuple[str, int]) -> OvnDatabase:
        name, port = which
        return OvnDatabase(name, f"tcp:{self.controller}:{port}")

    def _appctl(self, container: str, node: str, program: str, *words: str) -> str:
        target = {"ovn-appctl": ["-t", "ovn-controller"]}.get(program, [])
        argv = ["docker", "exec", container, program, *target, *words]
        return self.ssh.run(node, argv, timeout=60).stdout

    def _named(self, text: str) -> str:
        """The output of ovn-trace with the names of switches and routers for their identifiers."""
        columns = ["--format=json", "--columns=external_ids", "list", "Datapath_Binding"]
        for row in json.loads(self.sbctl(*columns))["data"]:
            ids = dict(row[0][1])
            known = ids.get("logical-switch") or ids.get("logical-router")
            if known and "name" in ids:
                text = text.replace(f'"{known}"', f'"{ids["name"]}"')
        return text

    def _unsynced(self, error: CommandError, within: float) -> WaitError:
        said = self.ssh.run(CONTROLLER, ["tail", "-n", "5", NORTHD_LOG], check=False).stdout
        return WaitError(
            f"OVN was not in sync after {within:.0f} s",
            details=f"{error.details}\nthe end of {NORTHD_LOG}:\n{said.strip()}",
            hint="is ovn_northd running, and an ovn_controller on each node?",
        )


def compared(
    asked: object, would: Sequence[LogicalTrace], seen: Sequence[Packet], *, holds: bool
) -> None:
    """Compare three answers: what was asked of the API, what OVN would do, what a capture saw.

    Args:
        asked: What was asked, as a phrase.
        would: The traces of the packets.
        seen: What was captured where they should arrive.
        holds: Whether they should arrive.

    Raises:
        AssertionError: They differ. The message has all three.
    """
    answers = (holds, bool(would) and all(would), bool(seen))
    if len(set(answers)) == 1:
        return
    arrives = {True: "arrives", False: "does not arrive"}
    lines = [
        f"asked: {asked}, so that it {arrives[holds]}",
        f"OVN: it {arrives[answers[1]]}",
        *(shlex.quote(each.flow) + f": {each.verdict}" for each in would),
        f"captured: {len(seen)} packets",
        *(f"  {packet}" for packet in seen[:5]),
    ]
    raise AssertionError("\n".join(lines))
