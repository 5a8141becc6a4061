"""What a VNF is made of: servers of Nova and ports of Neutron, which belong to its project."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_kollalab.sdn.tenant.tenant import COMPUTE

if TYPE_CHECKING:
    from pytest_kollalab.features.tacker.words import Member, Tacker, Vnf
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from scenarios.tacker.conftest import Cast


def test_its_servers_are_those_of_nova(tenant: Tenant, vnf: Vnf) -> None:
    members = vnf.members()
    assert sorted(member.vdu for member in members) == ["fw", "site"]
    servers = {server.id: server for server in tenant.cloud.compute.servers()}
    assert {member.server.id for member in members} <= set(servers)
    for member in members:
        found = servers[member.server.id]
        assert (found.status, found.image.id != "") == ("ACTIVE", True)
        assert tenant.admin.compute.get_server(found.id).compute_host == COMPUTE


def test_its_ports_are_those_of_neutron(tenant: Tenant, cast: Cast) -> None:
    where = {"fw_in": cast.chained, "fw_out": cast.chained, "site_cp": cast.branch}
    seen = {}
    for member in cast.vnf.members():
        for point, port in member.ports.items():
            found = tenant.cloud.network.get_port(port.id)
            assert found.device_id == member.server.id
            assert found.project_id == tenant.project.id
            assert found.status == "ACTIVE"
            assert found.is_port_security_enabled == (point == "site_cp")
            seen[point] = found.network_id
    assert seen == {point: network.id for point, network in where.items()}


def test_heat_has_its_stack(tacker: Tacker, vnf: Vnf) -> None:
    (stack,) = [stack for stack in tacker.stacks() if stack.name == vnf.stack]
    assert stack.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")


def test_its_operations_are_on_record(tacker: Tacker, vnf: Vnf) -> None:
    first, *later = tacker.occurrences(vnf)
    assert (first.operation, first.state) == ("INSTANTIATE", "COMPLETED")
    # Other tests have some fail, and roll them back.
    assert {each.state for each in later} <= {"COMPLETED", "ROLLED_BACK"}


def test_its_links_lead_to_the_endpoint(tenant: Tenant, vnf: Vnf) -> None:
    links = vnf.describe()["_links"]
    endpoint = str(tenant.cloud.session.get_endpoint(service_type="nfv-orchestration"))
    assert links["self"]["href"] == f"{endpoint}{vnf.path}"


def test_a_server_of_it_is_reached(tenant: Tenant, cast: Cast, site: Member) -> None:
    neighbour = tenant.probe(cast.branch, COMPUTE, name="neighbour")
    neighbour.reaches(site)
    assert neighbour.ask("tcp", site, 7, "hello").answer == "hello"
    assert site.server.name.startswith(site.server.ssh(["hostname"], via=neighbour).stdout.strip())


def test_a_server_has_a_card_for_each_connection_point(firewall: Member) -> None:
    said = firewall.server.ssh(["ip", "-4", "-o", "address", "show"]).stdout
    assert {port.ip for port in firewall.ports.values()} <= {
        word.partition("/")[0] for word in said.split()
    }
