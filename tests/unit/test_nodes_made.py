"""What a provider made: nodes whose tunnels have a network of their own, and others."""

from pytest_kollalab.providers.base import NETWORKS, NodeMade
from pytest_kollalab.providers.libvirt.xml import NETWORKS as OF_MACHINES


def test_machines_have_no_network_for_tunnels() -> None:
    node = NodeMade(**{name: f"192.0.2.{n}" for n, name in enumerate(OF_MACHINES)})
    assert node.tunnel == ""
    assert list(node.addresses) == list(OF_MACHINES)


def test_containers_have_all_networks() -> None:
    node = NodeMade(**{name: f"192.0.2.{n}" for n, name in enumerate(NETWORKS)})
    assert list(node.addresses) == list(NETWORKS)
