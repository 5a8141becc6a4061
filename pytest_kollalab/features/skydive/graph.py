"""Parsers for the answers of Skydive's analyzer: topology, flows and packets."""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from pytest_kollalab.sdn.capture.packets import Frame
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
)
from pytest_kollalab.system.errors import KollalabError

OVS_TYPES = ("ovsbridge", "ovsport")
# The types of Open vSwitch's internal devices; the last two are those in user space.
OWN = (INTERNAL, "tuntap", "tun")
OWNERSHIP, LAYER2 = "ownership", "layer2"

Metadata = Mapping[str, Any]


@dataclass(frozen=True)
class SkydiveGraph:
    """Skydive's graph.

    Attributes:
        nodes: The metadata of each node of the graph, by its id.
        hosts: The host of each node, by its id.
        edges: Pairs of ids (parent, child), by their relation.
    """

    nodes: Mapping[str, Metadata]
    hosts: Mapping[str, str] = field(default_factory=dict)
    edges: Mapping[str, Sequence[tuple[str, str]]] = field(default_factory=dict)

    @classmethod
    def parse(cls, answer: Sequence[Any]) -> SkydiveGraph:
        """Read the answer to the query `G`."""
        nodes: dict[str, Metadata] = {}
        hosts: dict[str, str] = {}
        edges: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for part in answer:
            for node in part.get("Nodes") or ():
                nodes[node["ID"]] = node["Metadata"]
                hosts[node["ID"]] = node["Host"]
            for edge in part.get("Edges") or ():
                relation = edge["Metadata"].get("RelationType", "")
                edges[relation].append((edge["Parent"], edge["Child"]))
        return cls(nodes, hosts, dict(edges))

    def topology(self) -> Topology:
        """The hosts, bridges and ports as a topology."""
        machines = tuple(sorted(n["Name"] for n in self.nodes.values() if n.get("Type") == "host"))
        bridges = frozenset(
            Bridge(self.hosts[node], metadata["Name"])
            for node, metadata in self.nodes.items()
            if metadata.get("Type") == "ovsbridge"
        )
        ports = sorted((port for port, _ in self._ports.values()), key=lambda port: port.place)
        return Topology(machines, bridges, tuple(ports))

    def tid(self, port: BridgePort) -> str:
        """The TID of a port, which captures select it by. Raises KollalabError if it is unknown."""
        if port.place not in self._ports:
            raise KollalabError(f"Skydive does not know {port}")
        return str(self.nodes[self._ports[port.place][1]]["TID"])

    def captured(self, capture: str) -> set[str]:
        """The TIDs of the nodes at which a capture is active."""
        return {
            str(metadata.get("TID"))
            for metadata in self.nodes.values()
            for each in metadata.get("Captures") or ()
            if each.get("ID") == capture and each.get("State") == "active"
        }

    def known_of(self, tid: str) -> str:
        """A description of the nodes with a TID, for a message."""
        found = [
            {
                "host": self.hosts[node],
                "in": [self.nodes[parent].get("Name") for parent in self._parents[node]],
                "beside": [
                    f"{self._type(other)} {self.nodes[other].get('Name')}"
                    for other in self._beside[node]
                ],
                **{name: metadata.get(name) for name in ("Type", "Name", "MAC", "Captures")},
            }
            for node, metadata in self.nodes.items()
            if metadata.get("TID") == tid
        ]
        return json.dumps(found)

    def injections(self, port: BridgePort) -> set[str]:
        """The ids of the injections that are running at a port."""
        metadata = self.nodes[self._ports[port.place][1]]
        return {str(each.get("UUID")) for each in metadata.get("PacketInjections") or ()}

    @cached_property
    def _ports(self) -> dict[tuple[str, str, str], tuple[BridgePort, str]]:
        found = {}
        for bridge, port in self.edges.get(OWNERSHIP, ()):
            if self._type(bridge) != "ovsbridge" or self._type(port) != "ovsport":
                continue
            interface = self._interface(port)
            if interface is not None:
                made = self._port(bridge, port, interface)
                found[made.place] = (made, interface)
        return found

    def _type(self, node: str) -> str:
        return str(self.nodes.get(node, {}).get("Type", ""))

    @cached_property
    def _parents(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for parent, child in self.edges.get(OWNERSHIP, ()):
            found[child].append(parent)
        return found

    @cached_property
    def _beside(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for one, other in self.edges.get(LAYER2, ()):
            found[one].append(other)
            found[other].append(one)
        return found

    @cached_property
    def _devices(self) -> dict[tuple[str, str], str]:
        return {
            (self.hosts[node], str(metadata["Name"])): node
            for node, metadata in self.nodes.items()
            if "MAC" in metadata and metadata.get("Type") not in OVS_TYPES
        }

    def _interface(self, port: str) -> str | None:
        """The interface of a port: an adjacent node with the same name.

        If a device was moved into a namespace while Open vSwitch created it, its port has no link
        to it in Skydive's graph, or a link to an older node without a MAC address. The device is
        then found by its name, which is unique on a host.
        """
        name = self.nodes[port]["Name"]
        found = [
            other
            for other in self._beside[port]
            if self._type(other) not in OVS_TYPES and self.nodes[other].get("Name") == name
        ]
        device = self._devices.get((self.hosts[port], name))
        if device is not None:
            found.append(device)
        # The first one with a MAC address, or else the first one.
        return min(found, key=lambda each: "MAC" not in self.nodes[each], default=None)

    def _port(self, bridge: str, port: str, interface: str) -> BridgePort:
        metadata = self.nodes[interface]
        # A number, or a list where Open vSwitch has a set.
        tags = self.nodes[port].get("Vlans") or ()
        kind = str(metadata.get("Type", ""))
        options = (metadata.get("Ovs") or {}).get("Options") or {}
        spaces = (self.nodes[parent] for parent in self._parents[interface])
        namespace = next((s["Name"] for s in spaces if s.get("Type") == "netns"), "")
        is_virtual = kind == PATCH or kind in TUNNELS
        identity = _identity(metadata.get("Neutron"))
        addresses = tuple(sorted(map(str, metadata.get("IPV4") or ())))
        return BridgePort(
            self.hosts[interface],
            str(self.nodes[bridge]["Name"]),
            str(metadata["Name"]),
            kind=_kind(kind),
            mac="" if is_virtual else str(metadata.get("MAC", "")),
            namespace=str(namespace),
            peer=str(options.get("peer", "")),
            remote=str(options.get("remote_ip", "")),
            local=str(options.get("local_ip", "")),
            neutron=identity,
            addresses=addresses if namespace and identity is None else (),
            tag=next(iter(tags if isinstance(tags, list | tuple) else (int(tags),)), 0),
        )


def _kind(kind: str) -> str:
    if kind in TUNNELS:
        return TUNNEL
    return PATCH if kind == PATCH else INTERNAL if kind in OWN else DEVICE


def parse_flows(answer: Iterable[Mapping[str, Any]]) -> dict[str, list[ObservedFlow]]:
    """Parse the answer to `Flows()`: the IPv4 flows by the TID of the node that saw them."""
    found: dict[str, list[ObservedFlow]] = defaultdict(list)
    for flow in answer:
        network = flow.get("Network") or {}
        if network.get("Protocol") not in ("IPV4", 0) or "A" not in network:
            continue
        protocol = str(flow.get("LayersPath", "")).rpartition("/")[2].lower().removesuffix("v4")
        metric = flow.get("Metric") or {}
        found[flow["NodeTID"]].append(
            ObservedFlow(
                protocol,
                network["A"],
                network["B"],
                int(metric.get("ABPackets", 0)),
                int(metric.get("BAPackets", 0)),
            )
        )
    return dict(found)


def parse_frames(
    flows: Iterable[Mapping[str, Any]], answer: Iterable[Mapping[str, Any]]
) -> dict[str, list[Frame]]:
    """The captured frames in order of time, by the TID of the node that saw them.

    Args:
        flows: The answer to `Flows()`.
        answer: The answer to `RawPackets()`: for each agent, packets by the id of their flow.
    """
    places = {flow["UUID"]: flow["NodeTID"] for flow in flows}
    found: dict[str, list[Frame]] = defaultdict(list)
    for part in answer:
        for flow, packets in part.items():
            for packet in packets or ():
                data = base64.b64decode(packet["Data"])
                time = packet["Timestamp"] / 1000
                found[places[flow]].append(Frame(time, data, len(data), places[flow]))
    return {place: sorted(seen, key=lambda each: each.time) for place, seen in found.items()}


def _identity(neutron: Metadata | None) -> Identity | None:
    if not neutron or not neutron.get("PortID"):
        return None
    return Identity(
        str(neutron["PortID"]),
        str(neutron.get("NetworkID", "")),
        tuple(sorted(map(str, neutron.get("IPV4") or ()))),
        int(neutron.get("VNI", 0)),
    )
