"""The end of VNFs: what is left of them, and what it takes to have them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.tacker.words import Vdu, forwarding
from pytest_kollalab.sdn import figures
from pytest_kollalab.sdn.tenant.tenant import COMPUTE

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.words import Sfc
    from pytest_kollalab.features.tacker.words import Tacker, VnfPackage
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from scenarios.tacker.conftest import Cast

TWO = (Vdu("left", ("left_cp",)), Vdu("right", ("right_cp",)))


@pytest.fixture(scope="module")
def package(tacker: Tacker) -> VnfPackage:
    """A package of two servers with a card each."""
    return tacker.package(*TWO)


def test_terminate_leaves_nothing(
    tenant: Tenant, tacker: Tacker, cast: Cast, sfc: Sfc, source: Probe, target: Probe
) -> None:
    stacks = {stack.id for stack in tacker.stacks()}
    servers = {server.id for server in tenant.cloud.compute.servers()}
    ports = {port.id for port in tenant.admin.network.ports(project_id=tenant.project.id)}
    filtering = Vdu("filter", ("in", "out"), forwards=True, user_data=forwarding(cast.chained))
    vnf = tacker.deploy(filtering, networks={"in": cast.chained, "out": cast.chained})
    (member,) = vnf.members()
    function = sfc.take(member.server, member.ports["in"], member.ports["out"])
    with sfc.chain(source, target, through=[function]):
        assert sfc.path(source, target) == [function]
    sfc.drop(function)
    tacker.terminate(vnf)
    assert vnf.members() == []
    assert {stack.id for stack in tacker.stacks()} == stacks
    assert {server.id for server in tenant.cloud.compute.servers()} == servers
    left = {port.id for port in tenant.admin.network.ports(project_id=tenant.project.id)}
    assert left == ports


def test_a_terminated_vnf_is_instantiated_again(
    tacker: Tacker, cast: Cast, package: VnfPackage
) -> None:
    vnf = tacker.create(package)
    networks = {"left_cp": cast.branch, "right_cp": cast.branch}
    tacker.instantiate(vnf, networks)
    before = {member.server.id for member in vnf.members()}
    tacker.terminate(vnf)
    assert not vnf.is_instantiated()
    tacker.instantiate(vnf, networks)
    assert before.isdisjoint(member.server.id for member in vnf.members())


def test_two_servers_by_tacker_and_by_nova(
    tenant: Tenant, tacker: Tacker, cast: Cast, package: VnfPackage
) -> None:
    began = time.monotonic()
    with ThreadPoolExecutor() as pool:
        booted = [
            pool.submit(tenant.server, cast.branch, COMPUTE, name=f"nova-{n}", ready=False)
            for n in range(2)
        ]
    for each in booted:
        each.result()
    alone = time.monotonic() - began
    figures.record("nova: two servers ACTIVE", alone)
    vnf = tacker.create(package)
    done = tacker.instantiate(vnf, {"left_cp": cast.branch, "right_cp": cast.branch})
    figures.record("vnf: two servers instantiated", done.seconds)
