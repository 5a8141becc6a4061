"""Known defects of Tacker and of Kolla-Ansible's role for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import yaml

from pytest_kollalab.features.tacker import csar, etsi
from pytest_kollalab.features.tacker.api import TackerError
from pytest_kollalab.features.tacker.operations import healing
from pytest_kollalab.features.tacker.words import OperationFailedError, Vdu
from pytest_kollalab.sdn.tenant.tenant import CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_kollalab.features.tacker.words import Tacker
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from scenarios.tacker.conftest import Cast

ROLE = "share/kolla-ansible/ansible/roles/tacker/defaults/main.yml"
BASE = f"BaseHOT/{csar.FLAVOUR}/base.yaml"
NESTED = f"BaseHOT/{csar.FLAVOUR}/nested/single.yaml"
GROUP, SINGLE = Vdu("group", ("group_cp",), most=2), Vdu("single", ("single_cp",))


@pytest.mark.kollalab_feature("tacker")
@pytest.mark.defect("tacker-role-keeps-packages-from-the-server")
def test_the_role_gives_the_packages_to_both_services(kollalab: Lab) -> None:
    defaults = yaml.safe_load((kollalab.ensure("tools").venv / ROLE).read_text())
    for service in ("conductor", "server"):
        volumes = defaults[f"tacker_{service}_default_volumes"]
        assert [volume for volume in volumes if "vnfpackages" in volume], service


@pytest.mark.defect("tacker-servers-with-and-without-a-number", raises=OperationFailedError)
def test_a_nested_template_needs_no_number_in_the_name_of_a_single_server(
    tacker: Tacker, cast: Cast
) -> None:
    types = dict.fromkeys((etsi.COMMON, etsi.VNFD), "")
    both = (GROUP, replace(SINGLE, most=2))
    written = csar.files("", both, types=types, image="", flavor="", key=tacker.tenant.keypair)
    base = yaml.safe_load(written[BASE])
    base["resources"]["single"] = base["resources"]["single"]["properties"]["resource"]
    changes = {BASE: yaml.safe_dump(base), NESTED: written[NESTED]}
    vnf = tacker.create(tacker.package(GROUP, SINGLE, changes=changes))
    tacker.instantiate(vnf, {"group_cp": cast.branch, "single_cp": cast.branch})


@pytest.fixture
def conductor_started_anew(tenant: Tenant) -> Iterator[None]:
    """Restart the conductor after a test: it marks what can never end as rolled back."""
    yield
    tenant.ssh.run(CONTROLLER, ["docker", "restart", "tacker_conductor"], timeout=120)


@pytest.mark.kollalab_disruptive
@pytest.mark.usefixtures("conductor_started_anew")
@pytest.mark.defect("tacker-second-operation-is-accepted", raises=pytest.fail.Exception)
def test_a_second_operation_at_once_is_refused(tacker: Tacker, cast: Cast) -> None:
    vnf = tacker.deploy(SINGLE, networks={"single_cp": cast.branch})
    (member,) = vnf.members()
    begun = tacker.begin(vnf, "heal", healing([member.id]))
    try:
        with pytest.raises(TackerError, match="answers 409"):
            tacker.begin(vnf, "heal", healing([member.id]))
    finally:
        assert tacker.await_end(begun)
