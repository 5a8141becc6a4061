"""The fixtures: the stages of a lab, and what scenarios talk to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import pytest

from pytest_kollalab.system.errors import ConfigError, KollalabError, NeedsLabError

if TYPE_CHECKING:
    from openstack.connection import Connection
    from testinfra.host import Host

    from pytest_kollalab.engine.made import Made
    from pytest_kollalab.engine.runs import LabFailure
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn
    from pytest_kollalab.features.compute.words import Compute
    from pytest_kollalab.features.sfc.words import Sfc
    from pytest_kollalab.features.skydive.words import Skydive
    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.topology.local import Local
    from pytest_kollalab.stages.images.made import ImagesMade
    from pytest_kollalab.system.ssh import Ssh

M = TypeVar("M", bound="Made")

lab_key = pytest.StashKey["Lab"]()

# Using one of these fixtures asks for the feature; a marker does the same for any test.
FIXTURE_FEATURES: dict[str, tuple[str, ...]] = {
    "bgpvpn": ("bgpvpn",),
    "compute": ("compute",),
    "sfc": ("sfc",),
    "skydive": ("skydive",),
}


# pytest offers this class as an attribute of a function only, which mypy does not take for a class.
class BrokenLab(pytest.fail.Exception):  # type: ignore[name-defined,misc]
    """A stage could not be had: one line for each test, explained once when the session ends.

    `explained` is false for the first test that meets the failure, `text` is the whole message.
    """

    def __init__(self, failure: LabFailure, *, explained: bool) -> None:
        super().__init__(failure.line, pytrace=False)
        self.text = failure.text
        self.explained = explained


@dataclass(frozen=True)
class Node:
    """A node of the lab: its name, its addresses by network, and the ways to look into it."""

    name: str
    addresses: Mapping[str, str]
    ssh: Ssh

    @cached_property
    def host(self) -> Host:
        """The node as a testinfra host."""
        import testinfra

        return testinfra.get_host(f"ssh://{self.name}?ssh_config={self.ssh.config}")


def ensure(lab: Lab, kind: type[M]) -> M:
    """Have what a stage makes for a test; a failure is its message, without a traceback."""
    from pytest_kollalab.settings.config import STAGES

    stage = kind.stage
    if STAGES.index(stage) > STAGES.index(lab.options.until):
        pytest.skip(f"needs stage {stage}; this session stops after {lab.options.until}")
    try:
        made = lab.ensure(stage)
    except NeedsLabError as error:
        pytest.skip(error.brief)
    except KollalabError as error:
        failure = lab.session.fail(error)
        raise BrokenLab(failure, explained=failure.text != str(error)) from None
    assert isinstance(made, kind)
    return made


@pytest.fixture(scope="session")
def kollalab(pytestconfig: pytest.Config) -> Lab:
    """The lab of this session. Override it to bring up a lab in another way."""
    from pytest_kollalab.plugin.hooks import make_lab, sharing_key, used_key

    pytestconfig.stash[used_key] = True
    pytestconfig.stash[sharing_key].use()
    return make_lab(pytestconfig)


@pytest.fixture(scope="session")
def kolla_images(kollalab: Lab) -> ImagesMade:
    """The Kolla images of the lab: `namespace`, `tag`, and the names in `images`."""
    from pytest_kollalab.stages.images.made import ImagesMade

    return ensure(kollalab, ImagesMade)


@pytest.fixture(scope="session")
def lab_nodes(kollalab: Lab, kolla_images: ImagesMade) -> Mapping[str, Node]:
    """The nodes by name, up and reachable: `lab_nodes["controller-1"].host` is testinfra's."""
    from pytest_kollalab.providers.base import NodesMade

    made = ensure(kollalab, NodesMade)
    ssh = kollalab.ssh()
    return {name: Node(name, node.addresses, ssh) for name, node in made.nodes.items()}


@pytest.fixture(scope="session")
def openstack_cloud(kollalab: Lab, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """The deployed, healthy cloud as an openstacksdk connection of its administrator."""
    from pytest_kollalab.stages.cloud.made import CloudMade

    if not kollalab.options.cloud:
        # Whoever overrides the nodes has them made first; an existing cloud has none.
        request.getfixturevalue("lab_nodes")
        ensure(kollalab, CloudMade)
    try:
        connection = kollalab.connect()
    except ConfigError as error:
        pytest.fail(str(error), pytrace=False)
    yield connection
    connection.close()


def make_tenant(cloud: Connection, lab: Lab, name: str) -> Tenant:
    """A project in the lab, or in somebody else's cloud, that is there while it is entered."""
    from pytest_kollalab.providers.base import NodesMade
    from pytest_kollalab.sdn.tenant.tenant import Tenant

    if lab.options.cloud:
        return Tenant(cloud, name, None, external_cidr=None)
    return Tenant(
        cloud,
        name,
        lab.ssh(),
        external_cidr=ensure(lab, NodesMade).networks["external"].cidr,
        patience=lab.provider.slowness,
        dataplane=lab.backend.dataplane,
    )


@pytest.fixture(scope="module")
def fresh_cloud(openstack_cloud: Connection, kollalab: Lab) -> Iterator[Connection]:
    """The cloud as it was right after its deploy, for a module whose tests run alone.

    The lab is rolled back to its golden state first; each module that uses this has it afresh.
    """
    from pytest_kollalab.stages.states.saves import GOLDEN

    try:
        kollalab.rollback(GOLDEN)
    except NeedsLabError as error:
        pytest.skip(error.brief)
    except KollalabError as error:
        pytest.fail(str(error), pytrace=False)
    # What it kept open leads to servers that know nothing of it.
    openstack_cloud.session.session.close()
    connection = kollalab.connect()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def tenant(
    openstack_cloud: Connection, kollalab: Lab, request: pytest.FixtureRequest
) -> Iterator[Tenant]:
    """A project of the module's own; everything made in it is removed, last first."""
    if "fresh_cloud" in request.fixturenames:
        # What it makes must not be gone again with the rollback.
        request.getfixturevalue("fresh_cloud")
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    with make_tenant(openstack_cloud, kollalab, name) as tenant:
        yield tenant


def wanted_guests(config: pytest.Config) -> str:
    """What service functions are in this session."""
    from pytest_kollalab.plugin.hooks import settings_key

    return config.stash[settings_key][1].guests


def fixture_features(config: pytest.Config) -> dict[str, tuple[str, ...]]:
    """The features that our fixtures ask for in this session."""
    if wanted_guests(config) == "server":
        return {**FIXTURE_FEATURES, "sfc": ("sfc", "compute")}
    return FIXTURE_FEATURES


def ready_guests(request: pytest.FixtureRequest) -> str:
    """What service functions are; when they are servers, all that servers need is there."""
    guests = wanted_guests(request.config)
    if guests == "server":
        request.getfixturevalue("compute")
    return guests


@pytest.fixture(scope="module")
def sfc(tenant: Tenant, request: pytest.FixtureRequest) -> Iterator[Sfc]:
    """Service function chaining in the module's project; asks for the feature `sfc`."""
    from pytest_kollalab.features.sfc.words import Sfc

    with Sfc(tenant, guests=ready_guests(request)) as sfc:
        yield sfc


@pytest.fixture(scope="module")
def bgpvpn(tenant: Tenant, lab_nodes: Mapping[str, Node]) -> Iterator[Bgpvpn]:
    """BGP VPNs of the module's project, and sites outside; asks for the feature `bgpvpn`."""
    from pytest_kollalab.features.bgpvpn.words import Bgpvpn

    with Bgpvpn(tenant, {name: node.addresses["tunnel"] for name, node in lab_nodes.items()}) as b:
        yield b


@pytest.fixture(scope="session")
def skydive(openstack_cloud: Connection, kollalab: Lab) -> Skydive:
    """Skydive's analyzer, which knows what the network really does; asks for its feature."""
    from pytest_kollalab.features.skydive.words import of_lab
    from pytest_kollalab.providers.base import NodesMade
    from pytest_kollalab.stages.cloud.made import CloudMade

    nodes, cloud = ensure(kollalab, NodesMade), ensure(kollalab, CloudMade)
    slowness = kollalab.provider.slowness
    return of_lab(nodes.controller.management, cloud.passwords, slowness=slowness)


@pytest.fixture(scope="session")
def local_view(openstack_cloud: Connection, lab_nodes: Mapping[str, Node]) -> Local:
    """The topology as the nodes tell it themselves; needs no feature."""
    from pytest_kollalab.sdn.topology.local import Local

    return Local(next(iter(lab_nodes.values())).ssh, lab_nodes)


@pytest.fixture(scope="session")
def compute(openstack_cloud: Connection, kollalab: Lab) -> Iterator[Compute]:
    """Guest image and flavor for servers; asks for the feature `compute`."""
    from pytest_kollalab.features.compute.words import Compute

    compute = Compute(openstack_cloud, kollalab.paths, kollalab.options)
    yield compute
    if kollalab.options.cloud:
        compute.remove()
