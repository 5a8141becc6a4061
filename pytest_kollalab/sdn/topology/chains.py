"""The port chains of a cloud, read from its API: the traffic of each, and its steps in order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openstack.connection import Connection


@dataclass(frozen=True)
class Classified:
    """What a classifier lets into a chain.

    Attributes:
        source: The id of the port that packets come from, or a prefix.
        target: The id of the port that packets go to, or a prefix.
        what: Protocol and ports, such as `tcp 80`; empty for everything.
    """

    source: str
    target: str
    what: str = ""


@dataclass(frozen=True)
class Chained:
    """A port chain.

    Attributes:
        id: Its id.
        name: Its name.
        traffic: What its classifiers let in.
        steps: For each group, in order, the ingress and egress port of its functions.
        symmetric: Whether packets come back through it as well.
    """

    id: str
    name: str
    traffic: tuple[Classified, ...]
    steps: tuple[tuple[tuple[str, str], ...], ...]
    symmetric: bool = False


@dataclass(frozen=True)
class Chains:
    """All port chains, and the ids of the ports of all functions, also of those in no chain."""

    chains: tuple[Chained, ...] = ()
    functions: frozenset[str] = frozenset()


def read(connection: Connection, ports: Collection[Any]) -> Chains:
    """All port chains, read as an administrator; none if the API has no chains.

    What is made while it is read may be missing.

    Args:
        connection: The cloud.
        ports: All its ports.
    """
    api = connection.network
    if api.find_extension("sfc") is None:
        return Chains()
    networks = {port.id: port.network_id for port in ports}
    addresses = {
        (port.network_id, fixed["ip_address"]): port.id
        for port in ports
        for fixed in port.fixed_ips or ()
    }
    pairs = {pair.id: (pair.ingress, pair.egress) for pair in api.sfc_port_pairs()}
    groups = {
        group.id: tuple(pairs[pair] for pair in group.port_pairs if pair in pairs)
        for group in api.sfc_port_pair_groups()
    }
    classifiers = {
        each.id: traffic(each, networks, addresses) for each in api.sfc_flow_classifiers()
    }
    found = tuple(
        Chained(
            chain.id,
            chain.name or chain.id[:8],
            tuple(classifiers[each] for each in chain.flow_classifiers if each in classifiers),
            tuple(groups[group] for group in chain.port_pair_groups if group in groups),
            bool((chain.chain_parameters or {}).get("symmetric")),
        )
        for chain in api.sfc_port_chains()
    )
    return Chains(found, frozenset(port for pair in pairs.values() for port in pair))


def traffic(
    classifier: Any, networks: Mapping[str, str], addresses: Mapping[tuple[str, str], str]
) -> Classified:
    """The traffic of a classifier. A prefix that is one port's address is that port.

    Args:
        classifier: The flow classifier, as openstacksdk has it.
        networks: The networks of ports, by the port's id.
        addresses: The ids of ports, by network and address.
    """
    ends = [
        (classifier.logical_source_port, classifier.source_ip_prefix),
        (classifier.logical_destination_port, classifier.destination_ip_prefix),
    ]
    # Addresses of different networks may be equal: the network is that of the end that is a port.
    network = next((networks.get(port) for port, _ in ends if port), None)
    source, target = (
        port
        or addresses.get((network or "", (prefix or "").removesuffix("/32")))
        or prefix
        or "anything"
        for port, prefix in ends
    )
    return Classified(source, target, _what(classifier))


def _what(classifier: Any) -> str:
    words = [str(classifier.protocol)] if classifier.protocol else []
    for name, side in (("from", "source"), ("to", "destination")):
        low = getattr(classifier, f"{side}_port_range_min")
        high = getattr(classifier, f"{side}_port_range_max")
        if low is not None:
            words.append(f"{name} {low}" if high in (None, low) else f"{name} {low}-{high}")
    return " ".join(words)
