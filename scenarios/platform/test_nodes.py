"""The nodes before a deploy: what Kolla-Ansible finds there, whatever provider made them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.providers.base import NodesMade

NODES = ("controller-1", "compute-1")
# Seconds that reading a clock may take, over SSH and on an emulated processor.
CLOCK = 2.0


@pytest.fixture
def node(request: pytest.FixtureRequest, lab_nodes: Mapping[str, Node]) -> Node:
    return lab_nodes[request.param]


@pytest.fixture
def made(kollalab: Lab, lab_nodes: Mapping[str, Node]) -> NodesMade:
    """What the stage says of the nodes."""
    return kollalab.ensure("nodes")


every_node = pytest.mark.parametrize("node", NODES, indirect=True)


@every_node
def test_it_knows_its_name(node: Node) -> None:
    assert node.host.check_output("hostname") == node.name


@every_node
def test_each_name_has_one_address(node: Node, lab_nodes: Mapping[str, Node]) -> None:
    for name, other in lab_nodes.items():
        assert node.host.addr(name).ipv4_addresses == [other.addresses["management"]]


@every_node
def test_its_interfaces_are_named_after_their_networks(node: Node, made: NodesMade) -> None:
    for network in ("provisioning", "management"):
        found = node.host.interface(made.interfaces[network])
        assert node.addresses[network] in found.addresses
    for network, name in made.interfaces.items():
        mtu = node.host.check_output("cat /sys/class/net/%s/mtu", name)
        assert int(mtu) == made.networks[network].mtu


@every_node
def test_the_external_interface_is_open_vswitchs(node: Node, made: NodesMade) -> None:
    found = node.host.interface(made.interfaces["external"])
    assert found.exists
    assert node.addresses["external"] not in found.addresses


@every_node
def test_it_reaches_the_other_nodes(node: Node, lab_nodes: Mapping[str, Node]) -> None:
    for other in lab_nodes.values():
        assert node.host.addr(other.addresses["management"]).is_reachable


@every_node
def test_its_clock_is_right(node: Node, kollalab: Lab) -> None:
    before = time.time()
    told = float(node.host.check_output("date +%s.%N"))
    patience = CLOCK * kollalab.provider.slowness
    assert before - patience < told < time.time() + patience


@pytest.mark.kollalab_smoke
@every_node
def test_docker_runs_and_may_pull_from_the_labs_registry(node: Node, made: NodesMade) -> None:
    assert node.host.service("docker").is_running
    settings = json.loads(node.host.file("/etc/docker/daemon.json").content_string)
    assert settings["insecure-registries"] == [made.registry]
    assert node.host.addr(made.registry.split(":")[0]).port(4000).is_reachable


@every_node
def test_python_has_what_kollas_modules_import(node: Node) -> None:
    node.host.check_output("python3 -c 'import dbus, docker, requests'")


@every_node
def test_open_vswitch_can_forward(node: Node, kollalab: Lab) -> None:
    if kollalab.provider.globals().get("ovs_datapath") == "netdev":
        # In user space, through a tun device.
        assert node.host.check_output("stat -c %t:%T /dev/net/tun") == "a:c8"
    else:
        for module in ("openvswitch", "br_netfilter", "vxlan"):
            node.host.check_output("modprobe %s", module)


@every_node
def test_no_unit_has_failed_yet(node: Node) -> None:
    assert node.host.check_output("systemctl is-system-running") == "running"
