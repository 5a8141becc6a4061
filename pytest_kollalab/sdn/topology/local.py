"""The local collector: reads the topology from the nodes over SSH."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn.capture import tcpdump
from pytest_kollalab.sdn.capture.packets import Packet
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.topology.topology import (
    DEVICE,
    INTERNAL,
    PATCH,
    TUNNEL,
    TUNNELS,
    Bridge,
    BridgePort,
    Identity,
    ObservedFlow,
    Topology,
    flows,
)

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

# Each line of output is the name of a table or a namespace, a tab, and JSON.
ASK = r"""
docker exec openvswitch_vswitchd sh -eu -c '
    for table in Bridge Port Interface; do
        printf "%s\t" "$table"
        ovs-vsctl --timeout=30 --format=json list "$table"
    done'
printf 'devices \t'; ip -j address
for namespace in $(ip netns list | cut -d " " -f 1); do
    printf 'devices %s\t' "$namespace"
    ip -n "$namespace" -j address || echo '[]'
done
# Where OVN's database is. On the nodes themselves, nothing says which network a port is in.
if docker container inspect ovn_sb_db > /dev/null 2>&1; then
    docker exec ovn_sb_db sh -eu -c '
        sbctl="ovn-sbctl --db=unix:/run/ovn/ovnsb_db.sock --timeout=30 --format=json"
        printf "Port_Binding\t"; $sbctl --columns=logical_port,datapath list Port_Binding
        printf "Datapath_Binding\t"; $sbctl --columns=_uuid,external_ids list Datapath_Binding'
fi
"""
# What OVN's name of a network begins with; its id in Neutron follows.
SWITCH = "neutron-"
# The addresses of the metadata service, which Neutron adds to DHCP ports.
METADATA = ipaddress.ip_network("169.254.0.0/16")

Row = Mapping[str, Any]


class Local:
    """Reads the topology from Open vSwitch and the kernel of each node."""

    name = "local"

    def __init__(self, ssh: Ssh, nodes: Iterable[str]) -> None:
        self.ssh = ssh
        self.nodes = tuple(nodes)

    def topology(self) -> Topology:
        """The topology now; the nodes are asked in parallel."""
        with ThreadPoolExecutor(len(self.nodes)) as pool:
            texts = list(pool.map(self._ask, self.nodes))
        found = join(parse(node, text) for node, text in zip(self.nodes, texts, strict=True))
        return with_networks(found, {k: v for text in texts for k, v in ovn_networks(text).items()})

    @contextmanager
    def watch(self, points: Iterable[BridgePort], filter: str = "") -> Iterator[LocalSight]:
        """Run tcpdump at each port until the block ends."""
        with ExitStack() as captures:
            yield LocalSight(
                {
                    point: captures.enter_context(
                        tcpdump.capture(
                            Namespace(self.ssh, point.node, point.namespace), point.name, filter
                        )
                    )
                    for point in points
                }
            )

    def _ask(self, node: str) -> str:
        return self.ssh.run(node, ["sh", "-eu"], input=ASK, timeout=60).stdout


class LocalSight:
    """The packets that tcpdump captured at ports."""

    def __init__(self, captures: Mapping[BridgePort, tcpdump.Capture]) -> None:
        self._captures = captures

    def packets(self, point: BridgePort) -> list[Packet]:
        """The IPv4 packets that passed a port, in order."""
        return [packet for packet in self._captures[point].packets if packet.is_ipv4]

    def flows(self, point: BridgePort) -> list[ObservedFlow]:
        """The flows that passed a port, by protocol and pairs of addresses."""
        found = self.packets(point)
        return [
            flow
            for protocol in dict.fromkeys(packet.protocol for packet in found)
            for flow in flows((p for p in found if p.protocol == protocol), protocol)
        ]


def join(parts: Iterable[Topology]) -> Topology:
    """Join the topologies of several nodes."""
    found = list(parts)
    return Topology(
        tuple(node for part in found for node in part.nodes),
        frozenset(bridge for part in found for bridge in part.bridges),
        tuple(port for part in found for port in part.ports),
    )


def ovn_networks(text: str) -> dict[str, str]:
    """The network of each port that OVN knows, by the port's id, from the output of `ASK`."""
    tables = {
        what: parse_table(json.loads(answer))
        for what, tab, answer in (line.partition("\t") for line in text.splitlines())
        if tab and what in ("Port_Binding", "Datapath_Binding")
    }
    names = {
        row["_uuid"]: row["external_ids"].get("name", "")
        for row in tables.get("Datapath_Binding", ())
    }
    found = {
        row["logical_port"]: names.get(row["datapath"], "")
        for row in tables.get("Port_Binding", ())
    }
    return {port: name.removeprefix(SWITCH) for port, name in found.items() if name}


def with_networks(topology: Topology, known: Mapping[str, str]) -> Topology:
    """A topology with the networks of ports, by their ids, where the nodes do not tell them."""

    def told(port: BridgePort) -> BridgePort:
        identity = port.neutron
        if identity is None or identity.network or identity.port not in known:
            return port
        return replace(port, neutron=replace(identity, network=known[identity.port]))

    return replace(topology, ports=tuple(told(port) for port in topology.ports))


def parse(node: str, text: str) -> Topology:
    """Parse the topology of one node from the output of `ASK`."""
    tables: dict[str, list[Row]] = {}
    devices: dict[tuple[str, str], Row] = {}
    for line in text.splitlines():
        what, tab, answer = line.partition("\t")
        if not tab:
            continue
        if what.startswith("devices"):
            for device in json.loads(answer):
                # `ip` prints interfaces without a name while a namespace changes.
                if "ifname" in device:
                    devices[what.partition(" ")[2], device["ifname"]] = device
        else:
            tables[what] = parse_table(json.loads(answer))
    interfaces = {row["_uuid"]: row for row in tables["Interface"]}
    ports = {row["_uuid"]: row for row in tables["Port"]}
    found = [
        _port(node, bridge["name"], ports[uuid], interfaces[each], devices)
        for bridge in tables["Bridge"]
        for uuid in listed(bridge["ports"])
        if uuid in ports
        for each in listed(ports[uuid]["interfaces"])
        if each in interfaces
    ]
    bridges = frozenset(Bridge(node, bridge["name"]) for bridge in tables["Bridge"])
    return Topology((node,), bridges, tuple(sorted(found, key=lambda port: port.place)))


def parse_table(answer: Mapping[str, Any]) -> list[Row]:
    """The rows of `ovs-vsctl --format=json list`: sets as lists, maps as dicts, ids as text."""
    headings = answer["headings"]
    return [
        {name: _plain(value) for name, value in zip(headings, row, strict=True)}
        for row in answer["data"]
    ]


def listed(value: Any) -> Sequence[Any]:
    """A column of Open vSwitch as a list, also if it holds a single value."""
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> Any:
    match value:
        case ["set", list(items)]:
            return [_plain(item) for item in items]
        case ["map", list(items)]:
            return {key: _plain(item) for key, item in items}
        case ["uuid" | "named-uuid", str(uuid)]:
            return uuid
    return value


def _port(
    node: str, bridge: str, port: Row, interface: Row, devices: Mapping[tuple[str, str], Row]
) -> BridgePort:
    kind = interface["type"] or DEVICE
    name = interface["name"]
    namespace = next((space for space, device in devices if device == name), "")
    device = devices.get((namespace, name), {})
    mac = "" if kind == PATCH or kind in TUNNELS else device.get("address", "")
    identity = _identity(port, interface, device)
    return BridgePort(
        node,
        bridge,
        name,
        kind=TUNNEL if kind in TUNNELS else kind if kind in (PATCH, INTERNAL) else DEVICE,
        mac=mac,
        namespace=namespace,
        peer=interface["options"].get("peer", ""),
        remote=interface["options"].get("remote_ip", ""),
        local=interface["options"].get("local_ip", ""),
        neutron=identity,
        addresses=_addresses(device) if namespace and identity is None else (),
        tag=next((int(tag) for tag in listed(port.get("tag", []))), 0),
    )


def _identity(port: Row, interface: Row, device: Row) -> Identity | None:
    wanted = interface["external_ids"].get("iface-id")
    if wanted is None:
        return None
    # Neutron's agent stores the port's network here when it wires the port.
    noted = port["other_config"]
    vni = str(noted.get("segmentation_id", ""))
    return Identity(
        wanted, noted.get("net_uuid", ""), _addresses(device), int(vni) if vni.isdigit() else 0
    )


def _addresses(device: Row) -> tuple[str, ...]:
    return tuple(
        sorted(
            f"{info['local']}/{info['prefixlen']}"
            for info in device.get("addr_info", ())
            if info.get("scope") == "global"
            and info.get("family") == "inet"
            and ipaddress.ip_address(info["local"]) not in METADATA
        )
    )
