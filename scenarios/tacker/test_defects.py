"""Known defects of Tacker and of Kolla-Ansible's role for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from pytest_kollalab.features.tacker import csar, etsi
from pytest_kollalab.features.tacker.words import OperationFailedError, Vdu

if TYPE_CHECKING:
    from pytest_kollalab.features.tacker.words import Tacker
    from pytest_kollalab.lab.lab import Lab
    from scenarios.tacker.conftest import Cast

ROLE = "share/kolla-ansible/ansible/roles/tacker/defaults/main.yml"
BASE = f"BaseHOT/{csar.FLAVOUR}/base.yaml"
GROUP, SINGLE = Vdu("group", ("group_cp",), most=2), Vdu("single", ("single_cp",))


@pytest.mark.kollalab_feature("tacker")
@pytest.mark.defect("tacker-role-keeps-packages-from-the-server")
def test_the_role_gives_the_packages_to_both_services(kollalab: Lab) -> None:
    defaults = yaml.safe_load((kollalab.ensure("tools").venv / ROLE).read_text())
    for service in ("conductor", "server"):
        volumes = defaults[f"tacker_{service}_default_volumes"]
        assert [volume for volume in volumes if "vnfpackages" in volume], service


@pytest.mark.defect("tacker-servers-with-and-without-a-number", raises=OperationFailedError)
def test_a_template_needs_no_number_in_the_name_of_a_single_server(
    tacker: Tacker, cast: Cast
) -> None:
    types = dict.fromkeys((etsi.COMMON, etsi.VNFD), "")
    written = csar.files("", (GROUP, SINGLE), types=types, image="", flavor="")[BASE]
    plain = written.replace("single-0:", "single:")
    assert plain != written
    vnf = tacker.create(tacker.package(GROUP, SINGLE, changes={BASE: plain}))
    tacker.instantiate(vnf, {"group_cp": cast.branch, "single_cp": cast.branch})
