"""Operations that fail: each tells why, and can be undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_kollalab.features.tacker.api import TackerError
from pytest_kollalab.features.tacker.words import OperationFailedError, Vdu
from pytest_kollalab.sdn.tenant.tenant import CONTROLLER
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.tacker.words import Tacker, Vnf, VnfPackage
    from pytest_kollalab.plugin.fixtures import Node
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from scenarios.tacker.conftest import Cast

PLAIN = Vdu("plain", ("cp",))
BACK_WITHIN = 120.0


@pytest.fixture(scope="module")
def package(tacker: Tacker) -> VnfPackage:
    """A package of one server."""
    return tacker.package(PLAIN)


@pytest.fixture
def networks(cast: Cast) -> Mapping[str, Network]:
    return {"cp": cast.branch}


@pytest.fixture
def huge(tenant: Tenant) -> Iterator[str]:
    """A flavor that no node has the memory for."""
    name = tenant.full_name("huge")
    made = tenant.admin.compute.create_flavor(name=name, ram=4 << 20, vcpus=1, disk=1)
    # Otherwise the quota refuses it before the scheduler is asked.
    tenant.admin.compute.update_quota_set(tenant.project.id, ram=-1)
    yield name
    tenant.admin.compute.revert_quota_set(tenant.project.id)
    tenant.admin.compute.delete_flavor(made)


@pytest.fixture
def full_quota(tenant: Tenant) -> Iterator[None]:
    """No more servers for the project."""
    there = len(list(tenant.cloud.compute.servers()))
    tenant.admin.compute.update_quota_set(tenant.project.id, instances=there)
    yield
    tenant.admin.compute.revert_quota_set(tenant.project.id)


def has_stack(tacker: Tacker, vnf: Vnf) -> bool:
    return vnf.stack in {stack.name for stack in tacker.stacks()}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"TOSCA-Metadata/TOSCA.meta": None}, ""),
        ({"Definitions/flavour.yaml": None}, 'Import "flavour.yaml" is not valid'),
        ({"Definitions/top.yaml": "a: [b\n"}, ""),
    ],
    ids=["no-metadata", "a-file-is-missing", "not-yaml"],
)
def test_a_package_with_a_mistake_is_not_taken(
    tacker: Tacker, changes: dict[str, str | None], told: str
) -> None:
    with pytest.raises(OperationFailedError) as error:
        tacker.package(PLAIN, changes=changes)
    assert error.match("Tacker does not take the package")
    assert told in error.value.details
    assert "no reason" not in error.value.details


def test_a_flavor_that_is_too_big_fails_with_the_reason_and_is_rolled_back(
    tenant: Tenant, tacker: Tacker, networks: Mapping[str, Network], huge: str
) -> None:
    vnf = tacker.create(tacker.package(Vdu("plain", ("cp",), flavor=huge)))
    failed = tacker.instantiate(vnf, networks, fails=True)
    assert "No valid host" in failed.error
    assert rolled_back(tacker, vnf, failed)


def rolled_back(tacker: Tacker, vnf: Vnf, failed: Any) -> bool:
    """Whether nothing is left of an operation once it is rolled back."""
    assert has_stack(tacker, vnf)
    tacker.roll_back(failed)
    assert not vnf.is_instantiated()
    return not has_stack(tacker, vnf)


@pytest.mark.usefixtures("full_quota")
def test_a_full_quota_fails_with_the_reason_and_is_rolled_back(
    tacker: Tacker, package: VnfPackage, networks: Mapping[str, Network]
) -> None:
    vnf = tacker.create(package)
    failed = tacker.instantiate(vnf, networks, fails=True)
    assert "Quota exceeded" in failed.error
    assert rolled_back(tacker, vnf, failed)


@pytest.mark.usefixtures("full_quota")
def test_scaling_into_a_full_quota_leaves_the_vnf_as_it_was(tacker: Tacker, vnf: Vnf) -> None:
    before = vnf.members()
    failed = tacker.scale(vnf, "fw", 1, fails=True)
    assert "Quota exceeded" in failed.error
    tacker.roll_back(failed)
    assert [each.server.id for each in vnf.members()] == [each.server.id for each in before]


@pytest.mark.usefixtures("full_quota")
def test_what_is_given_up_keeps_its_stack_until_it_is_removed(
    tacker: Tacker, package: VnfPackage, networks: Mapping[str, Network]
) -> None:
    vnf = tacker.create(package)
    failed = tacker.instantiate(vnf, networks, fails=True)
    assert tacker.give_up(failed).state == "FAILED"
    assert has_stack(tacker, vnf)
    tacker.remove(vnf)
    assert not has_stack(tacker, vnf)
    assert vnf.describe() == {}


def test_an_operation_that_takes_too_long_is_told_and_its_vnf_can_be_removed(
    tenant: Tenant, tacker: Tacker, package: VnfPackage, networks: Mapping[str, Network]
) -> None:
    vnf = tacker.create(package)
    with pytest.raises(WaitError, match="instantiate of a VNF") as error:
        tacker.instantiate(vnf, networks, within=1)
    assert error.match("to end: not within")
    assert "INSTANTIATE" in error.value.details
    # As after a test that was killed.
    tacker.remove(vnf)
    assert not has_stack(tacker, vnf)


@pytest.mark.parametrize("vdu", ["site", "nobody"])
def test_what_cannot_be_scaled_is_refused(tacker: Tacker, vnf: Vnf, vdu: str) -> None:
    with pytest.raises(TackerError, match=r"answers 40[04]"):
        tacker.scale(vnf, vdu, 1)


def test_a_package_in_use_is_not_deleted(tacker: Tacker) -> None:
    package = tacker.package(PLAIN)
    tacker.create(package)
    with pytest.raises(TackerError, match="answers 409"):
        tacker.discard(package)


@pytest.mark.kollalab_disruptive
def test_an_operation_whose_conductor_is_restarted_fails_and_is_rolled_back(
    tenant: Tenant, tacker: Tacker, package: VnfPackage, networks: Mapping[str, Network]
) -> None:
    vnf = tacker.create(package)
    with pytest.raises(WaitError):
        tacker.instantiate(vnf, networks, within=0)
    (begun,) = tacker.occurrences(vnf)
    assert not begun.has_ended
    tenant.ssh.run(CONTROLLER, ["docker", "restart", "tacker_conductor"], timeout=120)
    failed = tacker.await_end(begun.id)
    assert failed.state == "FAILED_TEMP"
    assert "conductor processing error" in failed.error
    tacker.roll_back(failed)
    assert not has_stack(tacker, vnf)


@pytest.mark.kollalab_disruptive
@pytest.mark.parametrize("service", ["server", "conductor"])
def test_a_start_logs_no_error(tacker: Tacker, lab_nodes: Mapping[str, Node], service: str) -> None:
    node = lab_nodes[CONTROLLER]
    log = f"/var/log/kolla/tacker/tacker-{service}.log"
    size = int(node.host.check_output(f"stat -c %s {log}"))
    node.host.check_output(f"docker restart tacker_{service}")

    def look() -> bool | NotYet:
        tests = f"docker inspect --format '{{{{.State.Health.Status}}}}' tacker_{service}"
        status = node.host.check_output(tests)
        return status == "healthy" or NotYet(status)

    wait.until(
        f"tacker_{service} to be healthy", look, timeout=BACK_WITHIN * tacker.tenant.patience
    )
    said = node.host.check_output(f"tail -c +{size + 1} {log}")
    assert said
    assert not [line for line in said.splitlines() if " ERROR " in line or " CRITICAL " in line]
