"""OVN's databases say what the API was asked for, and every chassis has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.tenant.tenant import Tenant

NODES = ("controller-1", "compute-1")


@pytest.mark.kollalab_smoke
def test_every_node_is_a_chassis_at_its_tunnel_address(
    ovn: Ovn, lab_nodes: Mapping[str, Node]
) -> None:
    found = ovn.southbound.api.chassis_list().execute(check_error=True)
    ends = {
        chassis.hostname: [(encap.type, encap.ip) for encap in chassis.encaps] for chassis in found
    }
    assert ends == {node: [("geneve", lab_nodes[node].addresses["tunnel"])] for node in NODES}


@pytest.mark.kollalab_smoke
def test_every_chassis_is_in_sync(ovn: Ovn) -> None:
    before = int(ovn.nbctl("get", "NB_Global", ".", "nb_cfg"))
    assert ovn.sync() < 10
    assert int(ovn.nbctl("get", "NB_Global", ".", "hv_cfg")) > before


@pytest.mark.parametrize(
    ("container", "control", "database"),
    [("ovn_nb_db", "ovnnb_db", "OVN_Northbound"), ("ovn_sb_db", "ovnsb_db", "OVN_Southbound")],
)
def test_each_database_is_a_cluster_with_a_leader(
    lab_nodes: Mapping[str, Node], container: str, control: str, database: str
) -> None:
    said = lab_nodes["controller-1"].host.check_output(
        "docker exec %s ovs-appctl -t /run/ovn/%s.ctl cluster/status %s",
        container, control, database,
    )  # fmt: skip
    assert "Status: cluster member" in said
    assert "Role: leader" in said
    assert lab_nodes["controller-1"].addresses["management"] in said


def test_a_network_is_a_switch_and_a_router_a_router(ovn: Ovn, tenant: Tenant) -> None:
    network = tenant.network("written", dhcp=False)
    router = tenant.router(network)
    ovn.sync()
    switches = {row["name"]: row for row in ovn.northbound.rows("Logical_Switch")}
    assert switches[f"neutron-{network.id}"]["external_ids"]["neutron:network_name"] == network.name
    routers = {row["name"] for row in ovn.northbound.rows("Logical_Router", "name")}
    assert f"neutron-{router.id}" in routers


def test_a_port_is_bound_to_the_chassis_of_its_node(ovn: Ovn, tenant: Tenant) -> None:
    network = tenant.network("bound", dhcp=False)
    for node in NODES:
        probe = tenant.probe(network, node)
        assert ovn.chassis_of(probe.ports[0].id) == node


def test_what_is_deleted_leaves_no_row(ovn: Ovn, tenant: Tenant) -> None:
    with tenant.part():
        network = tenant.network("gone", dhcp=False)
        probe = tenant.probe(network, "compute-1")
    ovn.sync()
    assert f"neutron-{network.id}" not in {
        row["name"] for row in ovn.northbound.rows("Logical_Switch", "name")
    }
    ports = {row["logical_port"] for row in ovn.southbound.rows("Port_Binding", "logical_port")}
    assert probe.ports[0].id not in ports
