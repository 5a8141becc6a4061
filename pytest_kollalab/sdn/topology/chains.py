"""The port chains of a cloud, read from its API, with their ports in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn.topology.picture import DrawnChain

if TYPE_CHECKING:
    from openstack.connection import Connection


def read(connection: Connection) -> list[DrawnChain]:
    """All port chains, read as an administrator; none if the API has no chains."""
    api = connection.network
    if api.find_extension("sfc") is None:
        return []
    groups = {group.id: group.port_pairs for group in api.sfc_port_pair_groups()}
    pairs = {pair.id: (pair.ingress, pair.egress) for pair in api.sfc_port_pairs()}
    classifiers = {each.id: each for each in api.sfc_flow_classifiers()}
    addresses = {
        fixed["ip_address"]: port.id for port in api.ports() for fixed in port.fixed_ips or ()
    }
    return [
        DrawnChain(
            chain.name,
            ports(
                classifiers[classifier],
                [pairs[pair] for group in chain.port_pair_groups for pair in groups[group][:1]],
                addresses,
            ),
        )
        for chain in api.sfc_port_chains()
        for classifier in chain.flow_classifiers
    ]


def ports(
    classifier: Any, pairs: Iterable[tuple[str, str]], addresses: Mapping[str, str]
) -> tuple[str, ...]:
    """The ids of a chain's ports, from source to target.

    An end that is not a single port is left out.

    Args:
        classifier: The flow classifier.
        pairs: The ingress and egress port of one function of each step.
        addresses: The ids of ports by their addresses.
    """
    target = classifier.logical_destination_port
    if not target:
        target = addresses.get((classifier.destination_ip_prefix or "").removesuffix("/32"))
    inner = [port for pair in pairs for port in pair]
    return tuple(port for port in (classifier.logical_source_port, *inner, target) if port)
