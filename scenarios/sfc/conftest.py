"""The cast of all chains: one project, one network, its ends and its functions, plugged once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from pytest_kollalab.plugin.fixtures import make_tenant
from pytest_kollalab.sdn.tenant.tenant import COMPUTE, CONTROLLER

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.features.sfc.words import Function, Sfc
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@dataclass(frozen=True)
class Cast:
    """Who takes part: two ends on one node and one on the other, and functions that forward."""

    network: Network
    source: Probe
    target: Probe
    far: Probe
    firewall: Function
    nat: Function
    counter: Function
    remote: Function


@pytest.fixture(scope="session")
def tenant(openstack_cloud: Connection, kollalab: Lab) -> Iterator[Tenant]:
    """One project for all modules of this folder, so that functions are plugged only once."""
    with make_tenant(openstack_cloud, kollalab, "sfc") as tenant:
        yield tenant


@pytest.fixture(scope="session")
def sfc(tenant: Tenant, make_sfc: Callable[[Tenant], Sfc]) -> Iterator[Sfc]:
    with make_sfc(tenant) as sfc:
        yield sfc


@pytest.fixture(scope="session")
def cast(tenant: Tenant, sfc: Sfc) -> Cast:
    # Only servers need DHCP; a network without it is ready sooner.
    network = tenant.network("chained", dhcp=sfc.guests == "server")
    with tenant.together():
        cast = Cast(
            network,
            source=tenant.probe(network, COMPUTE, name="source"),
            target=tenant.probe(network, COMPUTE, name="target"),
            far=tenant.probe(network, CONTROLLER, name="far"),
            firewall=sfc.function(network, COMPUTE, name="firewall"),
            nat=sfc.function(network, COMPUTE, name="nat"),
            counter=sfc.function(network, COMPUTE, name="counter"),
            remote=sfc.function(network, CONTROLLER, name="remote"),
        )
    cast.source.reaches(cast.target)
    cast.source.reaches(cast.far)
    return cast


@pytest.fixture(scope="session")
def network(cast: Cast) -> Network:
    return cast.network


@pytest.fixture(scope="session")
def source(cast: Cast) -> Probe:
    return cast.source


@pytest.fixture(scope="session")
def target(cast: Cast) -> Probe:
    return cast.target


@pytest.fixture(scope="session")
def far(cast: Cast) -> Probe:
    """An end on the other node."""
    return cast.far


@pytest.fixture(scope="session")
def firewall(cast: Cast) -> Function:
    return cast.firewall


@pytest.fixture(scope="session")
def nat(cast: Cast) -> Function:
    return cast.nat


@pytest.fixture(scope="session")
def counter(cast: Cast) -> Function:
    return cast.counter


@pytest.fixture(scope="session")
def remote(cast: Cast) -> Function:
    """A function on the other node."""
    return cast.remote


@pytest.fixture(scope="session")
def labelled(tenant: Tenant, sfc: Sfc, network: Network) -> list[Function]:
    """Functions that keep the MPLS label: two on one node, one on the other."""
    with tenant.together():
        return [
            sfc.function(network, node, name=f"labelled-{number}", keeps="mpls")
            for number, node in enumerate((COMPUTE, COMPUTE, CONTROLLER))
        ]


@pytest.fixture
def service(sfc: Sfc, target: Probe) -> Probe:
    """A second address of the target, to which the source sends."""
    return sfc.alias(target, "service")


@pytest.fixture
def balancer(sfc: Sfc, network: Network, service: Probe, target: Probe) -> Function:
    """A function that sends packets for the service to the target.

    Classifiers of two chains must not overlap, so a packet fits the next chain only if a function
    changes it.
    """
    turns = (service.ip, target.ip)
    return sfc.function(network, COMPUTE, name="balancer", keeps="mpls", turns=turns)
