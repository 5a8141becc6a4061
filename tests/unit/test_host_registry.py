"""Where nodes that are elsewhere find their registry."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network

from pytest_kollalab.providers import base, host_registry
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.remote import Remote

PROVISIONING = Subnet(IPv4Network("10.99.0.0/24"), 1500)
# Where this one lies on the way to it there is no other host, which makes no difference here.
ELSEWHERE = Remote("root@127.0.0.1")


def test_nodes_here_find_it_at_this_hosts_address_in_their_network() -> None:
    found = host_registry.address(None, PROVISIONING)
    assert found == f"10.99.0.1:{base.PORT}"


def test_nodes_elsewhere_find_it_where_another_labs_does_not_listen() -> None:
    host, port = host_registry.address(ELSEWHERE, PROVISIONING).split(":")
    assert host == "127.0.0.1"
    with socket.create_server((host, int(port))):
        other = host_registry.address(ELSEWHERE, PROVISIONING)
    assert other != f"{host}:{port}"
