"""Addresses of a lab: subnets that collide with nothing the host can reach."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, ip_network

from pytest_kollalab.providers.base import NETWORKS, NODES, ProvidedNodes
from pytest_kollalab.system.errors import HostError
from pytest_kollalab.system.run import run

REGISTRY_HOST = 2
FIRST_NODE_HOST = 11
# Whole packets of 1500 bytes travel the tunnels with room for VXLAN, MPLS and VLAN headers.
MTU = {"provisioning": 1500, "management": 1500, "external": 1500, "tunnel": 1600}
BLOCK_PREFIX = 22
# A VPN makes a default route of two or more: 0.0.0.0/1 and 128.0.0.0/1. None of a network that
# somebody has is as short, since the largest private one is 10.0.0.0/8.
SHORTEST_PREFIX = 8
# Not routed anywhere: for tests of devices (RFC 2544).
LAST_RESORT = IPv4Network("198.18.0.0/15")


@dataclass(frozen=True)
class Subnet:
    """One network of a lab; `nodes` are those on it, in the order of their addresses."""

    cidr: IPv4Network
    mtu: int
    nodes: tuple[str, ...] = NODES

    @property
    def gateway(self) -> IPv4Address:
        return self.cidr[1]

    @property
    def registry(self) -> IPv4Address:
        return self.cidr[REGISTRY_HOST]

    def node(self, name: str) -> IPv4Address:
        return self.cidr[FIRST_NODE_HOST + self.nodes.index(name)]


def subnets(block: IPv4Network, nodes: tuple[str, ...] = NODES) -> dict[str, Subnet]:
    """Cut a block into the networks of a lab, one /24 each."""
    cut = block.subnets(new_prefix=24)
    return {name: Subnet(cidr, MTU[name], nodes) for name, cidr in zip(NETWORKS, cut, strict=True)}


def candidates(lab: str, ranges: Sequence[IPv4Network] = ()) -> Iterator[IPv4Network]:
    """Blocks in the order in which a lab tries them.

    The name decides where the order starts, so that a lab keeps its addresses when it is rebuilt
    and two labs seldom want the same ones.

    Args:
        lab: The name of the lab.
        ranges: The ranges to take blocks from. By default, parts of the private ones.
    """
    if ranges:
        for each in ranges:
            yield from _from(lab, list(each.subnets(new_prefix=BLOCK_PREFIX)))
        return
    yield from _from(lab, [IPv4Network(f"10.{n}.0.0/{BLOCK_PREFIX}") for n in range(64, 255)])
    for second in range(31, 15, -1):
        for third in range(0, 256, 4):
            yield IPv4Network(f"172.{second}.{third}.0/{BLOCK_PREFIX}")
    yield from _from(lab, list(LAST_RESORT.subnets(new_prefix=BLOCK_PREFIX)))


def pick(lab: str, taken: Iterable[IPv4Network], ranges: Iterable[str] = ()) -> IPv4Network:
    """Return the first block that overlaps nothing that is taken.

    Args:
        lab: The name of the lab.
        taken: Networks that are in use.
        ranges: The ranges to take the block from. What is wider than one of them does not count as
            taken: for example, the route of a VPN to all of 10.0.0.0/8.

    Raises:
        HostError: All blocks overlap something that is taken.
    """
    named = [IPv4Network(each) for each in ranges]
    used = [each for each in taken if not any(one.subnet_of(each) and one != each for one in named)]
    for block in candidates(lab, named):
        if not any(block.overlaps(other) for other in used):
            return block
    raise HostError(
        "no free address range for the lab's networks",
        details=f"the host routes or uses: {', '.join(sorted(map(str, set(used))))}",
        hint="name a range that is free in fact, as `addresses` under [run] in kollalab.toml, or "
        "remove unused docker networks or routes (`docker network ls`, `ip route`)",
    )


def _from(lab: str, blocks: list[IPv4Network]) -> list[IPv4Network]:
    start = zlib.crc32(lab.encode()) % len(blocks)
    return blocks[start:] + blocks[:start]


def in_routes(text: str) -> Iterator[IPv4Network]:
    """The destinations in the output of `ip -j -4 route show table all`, without default routes."""
    for route in json.loads(text or "[]"):
        destination = route.get("dst", "default")
        if destination != "default":
            network = IPv4Network(destination, strict=False)
            if network.prefixlen >= SHORTEST_PREFIX:
                yield network


def in_links(text: str) -> Iterator[IPv4Network]:
    """The subnets in the output of `ip -j -4 address`."""
    for link in json.loads(text or "[]"):
        for address in link.get("addr_info", []):
            yield IPv4Network(f"{address['local']}/{address['prefixlen']}", strict=False)


def in_docker(networks: Iterable[dict[str, object]]) -> Iterator[IPv4Network]:
    """The subnets of networks as docker's API lists them; also of those without an interface."""
    for network in networks:
        ipam = network.get("IPAM")
        configs = ipam.get("Config") if isinstance(ipam, dict) else None
        for config in configs or []:
            found = ip_network(config["Subnet"], strict=False) if "Subnet" in config else None
            if isinstance(found, IPv4Network):
                yield found


def in_use() -> list[IPv4Network]:
    """The subnets that the host has routes to, or addresses in."""
    routes = run(["ip", "-j", "-4", "route", "show", "table", "all"]).stdout
    links = run(["ip", "-j", "-4", "address"]).stdout
    return [*in_routes(routes), *in_links(links)]


def moves(old: Mapping[str, str], new: Mapping[str, str]) -> dict[str, str]:
    """What the addresses of networks begin with -> what those in their place begin with.

    Both map the name of a network to its CIDR, a /24 each. Erlang writes addresses with commas.
    """
    found = {_beginning(cidr): _beginning(new[name]) for name, cidr in old.items()}
    return found | {a.replace(".", ","): b.replace(".", ",") for a, b in found.items()}


def between(old: ProvidedNodes, new: ProvidedNodes) -> dict[str, str]:
    """The changes of addresses between the networks of two labs."""
    cidrs = [{n: each.cidr for n, each in made.networks.items()} for made in (old, new)]
    return moves(*cidrs)


def pattern(moves: Mapping[str, str]) -> str:
    """A regular expression that finds the keys of `moves`, unless one is the end of a word."""
    words = "|".join(re.escape(word) for word in sorted(moves, key=len, reverse=True))
    return rf"(?<![\w.])(?:{words})" if moves else r"(?!)"


def rewrite(text: str, moves: Mapping[str, str]) -> str:
    """The text with each key of `moves` replaced, in one pass, unless it is the end of a word."""
    return re.sub(pattern(moves), lambda found: moves[found[0]], text)


def _beginning(cidr: str) -> str:
    network = IPv4Network(cidr)
    if network.prefixlen != 24:
        raise ValueError(f"{cidr} is no /24")
    return str(network.network_address).removesuffix("0")
