"""What the API does not take is refused with a reason, and leaves nothing behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from openstack import exceptions

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn, Ends
    from pytest_kollalab.sdn.tenant.tenant import Tenant

NO_TARGETS = ["public", "64512", "64512:1:2", "4294967296:1", "64512:-1", "", "10.0.0.300:1"]


@pytest.mark.parametrize("text", NO_TARGETS)
@pytest.mark.parametrize("field", ["route_targets", "import_targets", "export_targets"])
def test_a_route_target_that_is_none(tenant: Tenant, text: str, field: str) -> None:
    with pytest.raises(exceptions.BadRequestException, match=f"(?s){field}.*{text}"):
        tenant.admin.network.create_bgpvpn(
            project_id=tenant.project.id, type="l3", **{field: [text]}
        )
    # Not as a filter: networking-bgpvpn declares none, and Neutron 29 refuses what is not declared.
    there = tenant.admin.network.bgpvpns()
    assert tenant.project.id not in [vpn.project_id for vpn in there]


def test_a_distinguisher_is_the_speakers_own_choice(bgpvpn: Bgpvpn) -> None:
    with pytest.raises(exceptions.BadRequestException, match="route distinguisher"):
        bgpvpn.l3(route_distinguishers=["64512:7"])


def test_only_an_administrator_makes_a_vpn(tenant: Tenant) -> None:
    with pytest.raises(exceptions.ForbiddenException, match="create_bgpvpn"):
        tenant.cloud.network.create_bgpvpn(type="l3", route_targets=["64512:7"])


def test_a_network_joins_once(bgpvpn: Bgpvpn, ends: Ends) -> None:
    with bgpvpn.l3() as vpn:
        vpn.join(ends.left)
        with pytest.raises(exceptions.BadRequestException, match=f"{ends.left.id} is already"):
            vpn.join(ends.left)
        vpn.wait_converged()


def test_a_network_of_another_project_does_not_join(
    bgpvpn: Bgpvpn, ends: Ends, other_tenant: Tenant, other_bgpvpn: Bgpvpn
) -> None:
    with other_bgpvpn.l3() as vpn, pytest.raises(exceptions.NotFoundException, match=ends.left.id):
        vpn.join(ends.left)


def test_a_network_of_the_administrator_does_not_join(tenant: Tenant, bgpvpn: Bgpvpn) -> None:
    with bgpvpn.l3() as vpn, pytest.raises(exceptions.ForbiddenException, match="Not authorized"):
        vpn.join(tenant.external)


def test_a_router_does_not_join_a_segment(tenant: Tenant, bgpvpn: Bgpvpn) -> None:
    routed = tenant.network("routed", dhcp=False)
    router = tenant.router(routed)
    with bgpvpn.l2() as vpn, pytest.raises(exceptions.HttpException, match="type"):
        vpn.join(router)


@pytest.mark.parametrize("prefix", ["everywhere", "10.0.0.0/33", "300.1.1.0/24"])
def test_a_prefix_that_is_none(bgpvpn: Bgpvpn, ends: Ends, prefix: str) -> None:
    with bgpvpn.l3() as vpn, pytest.raises(exceptions.BadRequestException, match=prefix):
        vpn.join(ends.far, routes=[prefix])


def test_a_preference_that_is_none(bgpvpn: Bgpvpn) -> None:
    with pytest.raises(exceptions.BadRequestException, match="local_pref"):
        bgpvpn.l3(local_pref=-1)
