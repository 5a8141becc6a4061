"""Where machines find their registry."""

from __future__ import annotations

import socket
from ipaddress import IPv4Network

import pytest

from pytest_kollalab.images import registry
from pytest_kollalab.providers import libvirt_registry
from pytest_kollalab.providers.addresses import Subnet
from pytest_kollalab.providers.libvirt_host import Remote

PROVISIONING = Subnet(IPv4Network("10.99.0.0/24"), 1500)
REMOTE = "qemu+ssh://root@127.0.0.1/system"
HERE = Remote("root@127.0.0.1", port=None, keyfile="", program="ssh")


def test_machines_here_find_it_at_this_hosts_address_in_their_network() -> None:
    found = libvirt_registry.address("qemu:///system", PROVISIONING)
    assert found == f"10.99.0.1:{registry.PORT}"


def test_machines_elsewhere_find_it_where_another_labs_does_not_listen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(libvirt_registry, "remote", lambda _: HERE)
    host, port = libvirt_registry.address(REMOTE, PROVISIONING).split(":")
    assert host == "127.0.0.1"
    with socket.create_server((host, int(port))):
        other = libvirt_registry.address(REMOTE, PROVISIONING)
    assert other != f"{host}:{port}"
