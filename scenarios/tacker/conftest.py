"""The cast of the VNF scenarios: one project, and one VNF of a firewall and a site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.features.tacker.words import Vdu, forwarding
from pytest_kollalab.plugin.fixtures import make_tenant
from pytest_kollalab.sdn.tenant.tenant import COMPUTE, CONTROLLER
from scenarios.vpns import removed_first

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.features.tacker.words import Member, Tacker, Vnf
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@dataclass(frozen=True)
class Cast:
    """A VNF and its networks, with a probe at each end of the network of its firewall."""

    vnf: Vnf
    chained: Network
    branch: Network
    source: Probe
    target: Probe


@pytest.fixture(scope="session")
def tenant(openstack_cloud: Connection, kollalab: Lab) -> Iterator[Tenant]:
    """One project for all modules of this folder, so that the VNF is made only once."""
    with make_tenant(openstack_cloud, kollalab, "vnf") as tenant:
        yield tenant


@pytest.fixture(scope="session")
def tacker(tenant: Tenant, make_tacker: Callable[[Tenant], Tacker]) -> Tacker:
    return make_tacker(tenant)


@pytest.fixture(scope="session")
def sfc(tenant: Tenant, make_sfc: Callable[[Tenant], Sfc]) -> Iterator[Sfc]:
    with make_sfc(tenant) as sfc:
        yield sfc


@pytest.fixture(autouse=True)
def vpns_go_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Remove VPNs of a test before its ports, which agents need to withdraw routes."""
    with removed_first(request, "bgpvpn"):
        yield


@pytest.fixture(scope="session")
def cast(tenant: Tenant, tacker: Tacker) -> Cast:
    chained, branch = tenant.network("chained"), tenant.network("branch")
    with tenant.together():
        source = tenant.probe(chained, COMPUTE, name="source")
        target = tenant.probe(chained, CONTROLLER, name="target")
    firewall = Vdu("fw", ("fw_in", "fw_out"), most=2, forwards=True, user_data=forwarding(chained))
    networks = {"fw_in": chained, "fw_out": chained, "site_cp": branch}
    vnf = tacker.deploy(firewall, Vdu("site", ("site_cp",)), networks=networks)
    source.reaches(target)
    return Cast(vnf, chained, branch, source, target)


@pytest.fixture(scope="session")
def vnf(cast: Cast) -> Vnf:
    return cast.vnf


@pytest.fixture(scope="session")
def source(cast: Cast) -> Probe:
    return cast.source


@pytest.fixture(scope="session")
def target(cast: Cast) -> Probe:
    """An end on the other node."""
    return cast.target


@pytest.fixture
def firewall(vnf: Vnf) -> Member:
    """The firewall as it is now: it may have been replaced."""
    return vnf.members("fw")[0]


@pytest.fixture
def site(vnf: Vnf) -> Member:
    return vnf.members("site")[0]


@pytest.fixture
def function(sfc: Sfc, firewall: Member) -> Function:
    """The firewall as a function of chains."""
    return sfc.take(firewall.server, firewall.ports["fw_in"], firewall.ports["fw_out"])
