"""Addresses: a lab's networks collide with nothing."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from itertools import islice

import pytest

from pytest_kollalab.providers import addresses
from pytest_kollalab.providers.base import NETWORKS, NODES
from pytest_kollalab.settings.config import Options, check
from pytest_kollalab.system.errors import ConfigError, HostError

PRIVATE = [IPv4Network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")]


def test_a_lab_keeps_its_first_choice_and_others_have_their_own() -> None:
    assert addresses.pick("lab", []) == addresses.pick("lab", [])
    assert addresses.pick("lab", []) != addresses.pick("other", [])


def test_what_is_taken_is_passed_over() -> None:
    first, second = islice(addresses.candidates("lab"), 2)
    inside = IPv4Network(f"{first[700]}/32")
    assert addresses.pick("lab", [inside]) == second
    assert addresses.pick("lab", [first.supernet(new_prefix=16)]) == second


def test_a_host_that_routes_all_of_ten_gets_addresses_elsewhere() -> None:
    block = addresses.pick("lab", [IPv4Network("10.0.0.0/8")])
    assert block.is_private
    assert not block.overlaps(IPv4Network("10.0.0.0/8"))


def test_every_candidate_is_private_and_differs() -> None:
    found = list(addresses.candidates("lab"))
    assert len(found) == len(set(found))
    assert all(block.is_private for block in found)


def test_nothing_free_says_what_is_in_the_way() -> None:
    taken = [*PRIVATE, IPv4Network("198.18.0.0/15")]
    with pytest.raises(HostError, match=r"no free address range") as caught:
        addresses.pick("lab", taken)
    assert "172.16.0.0/12" in caught.value.details
    assert "`addresses` under [run]" in caught.value.hint


@pytest.mark.parametrize(
    "routes",
    [
        ["0.0.0.0/1", "128.0.0.0/1"],
        # WireGuard's AllowedIPs without the private ranges.
        ["0.0.0.0/5", "8.0.0.0/7", "11.0.0.0/8", "12.0.0.0/6", "16.0.0.0/4", "128.0.0.0/3"],
    ],
)
def test_a_default_route_in_parts_takes_nothing(routes: list[str]) -> None:
    taken = list(addresses.in_routes(json.dumps([{"dst": each} for each in routes])))
    assert addresses.pick("lab", taken) == addresses.pick("lab", [])


def test_a_host_that_routes_all_private_ranges_still_gets_addresses() -> None:
    assert addresses.pick("lab", PRIVATE).subnet_of(IPv4Network("198.18.0.0/15"))


def test_a_range_that_is_named_is_used_though_a_wider_route_covers_it() -> None:
    block = addresses.pick("lab", PRIVATE, ["10.77.0.0/21"])
    assert block.subnet_of(IPv4Network("10.77.0.0/21"))
    assert block == addresses.pick("lab", PRIVATE, ["10.77.0.0/21"])
    other = addresses.pick("lab", [*PRIVATE, IPv4Network(f"{block[300]}/32")], ["10.77.0.0/21"])
    assert other.subnet_of(IPv4Network("10.77.0.0/21"))
    assert other != block
    with pytest.raises(HostError, match="no free address range"):
        addresses.pick("lab", [block, other], ["10.77.0.0/21"])
    # A lab that has the whole range, such as one that was faster, is in the way.
    with pytest.raises(HostError, match="no free address range"):
        addresses.pick("lab", [block], [str(block)])


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("10.77.0.0/23", "too small"),
        ("10.77.0.1/16", "is no range"),
        ("fd00::/64", "is no range"),
        ("127.0.0.0/8", "cannot be used"),
    ],
)
def test_a_range_that_makes_no_sense(text: str, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        check(Options(addresses=(text,)))


def test_a_block_is_cut_into_the_networks() -> None:
    subnets = addresses.subnets(IPv4Network("10.64.0.0/22"))
    assert tuple(subnets) == NETWORKS
    assert str(subnets["tunnel"].cidr) == "10.64.3.0/24"
    assert subnets["provisioning"].gateway == IPv4Address("10.64.0.1")
    assert subnets["provisioning"].registry == IPv4Address("10.64.0.2")
    assert [str(subnets["management"].node(node)) for node in NODES] == [
        "10.64.1.11",
        "10.64.1.12",
    ]


def test_more_nodes_have_the_next_addresses() -> None:
    few = addresses.subnets(IPv4Network("10.64.0.0/22"))["tunnel"]
    more = addresses.subnets(IPv4Network("10.64.0.0/22"), (*NODES, "gateway-1"))["tunnel"]
    assert [more.node(node) for node in NODES] == [few.node(node) for node in NODES]
    assert str(more.node("gateway-1")) == "10.64.3.13"


def test_tunnels_carry_whole_packets() -> None:
    vxlan_and_mpls = 50 + 4 + 4
    assert addresses.MTU["tunnel"] >= addresses.MTU["external"] + vxlan_and_mpls


def test_routes_are_read() -> None:
    text = """[{"dst":"default","gateway":"192.0.2.1","dev":"eth0"},
        {"dst":"192.0.2.0/24","dev":"eth0"},
        {"type":"local","dst":"192.0.2.7","dev":"eth0"}]"""
    assert list(map(str, addresses.in_routes(text))) == ["192.0.2.0/24", "192.0.2.7/32"]
    assert list(addresses.in_routes("")) == []


def test_interfaces_are_read() -> None:
    text = """[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8}]},
        {},{"ifname":"eth0","addr_info":[{"local":"192.0.2.7","prefixlen":24}]}]"""
    assert list(map(str, addresses.in_links(text))) == ["127.0.0.0/8", "192.0.2.0/24"]


def test_networks_of_docker_are_read() -> None:
    networks: list[dict[str, object]] = [
        {"Name": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16"}]}},
        {"Name": "host", "IPAM": {"Config": None}},
        {"Name": "six", "IPAM": {"Config": [{"Subnet": "fd00::/64"}]}},
        {"Name": "none"},
    ]
    assert list(map(str, addresses.in_docker(networks))) == ["172.17.0.0/16"]
