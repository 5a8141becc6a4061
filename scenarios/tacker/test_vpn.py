"""VNFs in BGP VPNs: a server of a VNF is a site, and stays one when another takes its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.sdn.tenant.tenant import COMPUTE

if TYPE_CHECKING:
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.features.tacker.words import Member, Tacker, Vnf
    from scenarios.tacker.conftest import Cast


def test_a_host_behind_the_gateway_reaches_a_vnf(bgpvpn: Bgpvpn, cast: Cast, site: Member) -> None:
    vpn = bgpvpn.l3()
    vpn.join(cast.branch)
    archive = bgpvpn.site("archive", rt=vpn.rt)
    route = bgpvpn.announced(site.ip, by="compute-1")
    assert route.targets == vpn.exported
    archive.reaches(site, within=60 * bgpvpn.tenant.patience)
    assert archive.ask("tcp", site, 7, "hello").answer == "hello"


def healed_is_reached(bgpvpn: Bgpvpn, cast: Cast, tacker: Tacker, vnf: Vnf) -> None:
    """Check that a host behind the gateway reaches the server that takes the place of a site."""
    (site,) = vnf.members("site")
    vpn = bgpvpn.l3()
    vpn.join(cast.branch)
    archive = bgpvpn.site("archive", rt=vpn.rt)
    archive.reaches(site, within=60 * bgpvpn.tenant.patience)
    before = site.server.ssh(["cat", "/proc/sys/kernel/random/boot_id"], via=archive).stdout
    tacker.heal(vnf, site)
    (healed,) = vnf.members("site")
    assert healed.server.id != site.server.id
    assert healed.ports == site.ports
    healed.server.await_ready()
    bgpvpn.announced(healed.ip, by="compute-1")
    archive.reaches(healed, within=60 * bgpvpn.tenant.patience)
    after = healed.server.ssh(["cat", "/proc/sys/kernel/random/boot_id"], via=archive).stdout
    assert after != before


def test_another_server_answers_at_the_same_address_once_it_is_healed(
    bgpvpn: Bgpvpn, cast: Cast, tacker: Tacker, vnf: Vnf
) -> None:
    # Thanks to a neighbour on its node, the network keeps its VLAN there.
    bgpvpn.tenant.probe(cast.branch, COMPUTE, name="neighbour")
    healed_is_reached(bgpvpn, cast, tacker, vnf)


@pytest.mark.defect("bgpvpn-port-that-comes-back-with-another-vlan")
def test_another_server_without_a_neighbour_answers_at_the_same_address(
    bgpvpn: Bgpvpn, cast: Cast, tacker: Tacker, vnf: Vnf
) -> None:
    healed_is_reached(bgpvpn, cast, tacker, vnf)
