"""The fixtures: the stages of a lab, and projects in its cloud."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import pytest

from pytest_kollalab.plugin.session import session_key
from pytest_kollalab.plugin.stages import broken, ensure, failed
from pytest_kollalab.system.errors import KollalabError, NeedsLabError, NoNodeError

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.lab.lab import Lab
    from pytest_kollalab.plugin.host import Host
    from pytest_kollalab.sdn.ovn.words import Ovn
    from pytest_kollalab.sdn.tenant.tenant import Tenant
    from pytest_kollalab.sdn.topology.local import Local
    from pytest_kollalab.sdn.traffic.watch import TrafficWatch
    from pytest_kollalab.stages.images.made import ImagesMade
    from pytest_kollalab.system.ssh import Ssh


@dataclass(frozen=True)
class Node:
    """A node of the lab.

    Attributes:
        name: Its name.
        addresses: Its addresses, by the name of the network.
        ssh: Runs commands on the nodes of the lab.
    """

    name: str
    addresses: Mapping[str, str]
    ssh: Ssh

    @cached_property
    def host(self) -> Host:
        """The node as a testinfra host."""
        import testinfra

        query = urlencode({"ssh_config": self.ssh.config})
        host: Host = testinfra.get_host(f"ssh://{self.name}?{query}")
        return host


class Nodes(dict[str, Node]):
    """The nodes by name. A name that is not there is told with those that are."""

    def __missing__(self, name: str) -> Node:
        raise NoNodeError(name, self)


@pytest.fixture(scope="session")
def kollalab(pytestconfig: pytest.Config) -> Lab:
    """The lab of this session. Override it to build a lab in another way."""
    return pytestconfig.stash[session_key].use()


@pytest.fixture(scope="session")
def kolla_images(kollalab: Lab) -> ImagesMade:
    """The Kolla images of the lab: `namespace`, `tag`, and the names in `images`."""
    from pytest_kollalab.stages.images.made import ImagesMade

    return ensure(kollalab, ImagesMade)


@pytest.fixture(scope="session")
def lab_nodes(kollalab: Lab, kolla_images: ImagesMade) -> Mapping[str, Node]:
    """The running nodes by name. `lab_nodes["controller-1"].host` is a testinfra host."""
    from pytest_kollalab.providers.base import NodesMade

    made = ensure(kollalab, NodesMade)
    ssh = kollalab.ssh()
    return Nodes((name, Node(name, node.addresses, ssh)) for name, node in made.nodes.items())


@pytest.fixture(scope="session")
def openstack_cloud(kollalab: Lab, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """An openstacksdk connection to the healthy cloud, as its administrator."""
    from pytest_kollalab.stages.cloud import external
    from pytest_kollalab.stages.cloud.made import CloudMade

    if not kollalab.options.cloud:
        # An overridden fixture `lab_nodes` must run first. An external cloud has no nodes.
        request.getfixturevalue("lab_nodes")
        ensure(kollalab, CloudMade)
    try:
        connection = kollalab.connect()
        if kollalab.options.cloud:
            external.check(connection)
    except KollalabError as error:
        if kollalab.options.cloud:
            raise broken(kollalab, error) from None
        raise failed(str(error), kollalab.options) from None
    yield connection
    connection.close()


def make_tenant(cloud: Connection, lab: Lab, name: str) -> Tenant:
    """A project in the lab or in an external cloud; it exists while it is entered."""
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
    """The cloud in the state right after its deploy, for tests that run alone.

    For each module that uses this fixture, the lab is rolled back to its golden state.
    """
    from pytest_kollalab.stages.states.saves import GOLDEN

    try:
        kollalab.rollback(GOLDEN)
    except NeedsLabError as error:
        pytest.skip(error.brief)
    except KollalabError as error:
        raise failed(str(error), kollalab.options) from None
    # Its open connections lead to servers that no longer know them.
    openstack_cloud.session.session.close()
    connection = kollalab.connect()
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def tenant(
    openstack_cloud: Connection, kollalab: Lab, request: pytest.FixtureRequest
) -> Iterator[Tenant]:
    """A project for the module. Resources made in it are removed in reverse order at the end."""
    if "fresh_cloud" in request.fixturenames:
        # The rollback must come first, or it would remove the project.
        request.getfixturevalue("fresh_cloud")
    name = request.module.__name__.rpartition(".")[2].replace("_", "-")
    with make_tenant(openstack_cloud, kollalab, name) as tenant:
        yield tenant
        try:
            tenant.close()
        except KollalabError as error:
            what = f"what {request.module.__name__} made in its tenant could not be removed"
            raise failed(f"{what}: {error}", kollalab.options) from None


@pytest.fixture(scope="session")
def ovn(openstack_cloud: Connection, kollalab: Lab) -> Iterator[Ovn]:
    """OVN's databases, pipeline and switches; its tests are skipped with another backend."""
    from pytest_kollalab.providers.base import NodesMade
    from pytest_kollalab.sdn.ovn.words import Ovn

    controller = ensure(kollalab, NodesMade).controller.management
    patience = kollalab.provider.slowness
    found = Ovn(openstack_cloud, kollalab.ssh(), controller, patience=patience)
    yield found
    found.close()


@pytest.fixture(scope="session")
def local_view(openstack_cloud: Connection, lab_nodes: Mapping[str, Node]) -> Local:
    """The collector that reads the topology from the nodes; it needs no feature."""
    from pytest_kollalab.sdn.topology.local import Local

    return Local(next(iter(lab_nodes.values())).ssh, lab_nodes)


@contextmanager
def watching_traffic(
    config: pytest.Config, lab: Lab, nodes: Mapping[str, Node], name: str
) -> Iterator[TrafficWatch]:
    """The word `watch` for a test or for a fixture of any scope.

    With `--kollalab-artifacts`, the picture and the JSON of each watch are written there.

    Args:
        config: pytest's configuration.
        lab: The lab.
        nodes: Its nodes.
        name: The node id of the test, or another name; that of the folder is made of it.
    """
    from pytest_kollalab.report.artifacts import slug
    from pytest_kollalab.report.happenings import LabHappenings
    from pytest_kollalab.sdn.traffic.watch import TrafficWatch

    session = config.stash[session_key]
    ssh = next(iter(nodes.values())).ssh
    told = LabHappenings(ssh, nodes, lab.folder / "cloud", session.failures.site.redactor())
    watch = TrafficWatch(ssh, nodes, patience=lab.provider.slowness, sources=[told])
    yield watch
    folder = session.failures.folder
    # Here, because what is collected of a failure takes the place of what is in its folder.
    for number, seen in enumerate(watch.seen, 1):
        if folder is not None and seen.ended:
            file = "watch" if number == 1 else f"watch-{number}"
            seen.save(folder / slug(name), file, name.rpartition("::")[2])


@pytest.fixture
def watch(
    openstack_cloud: Connection, lab_nodes: Mapping[str, Node], request: pytest.FixtureRequest
) -> Iterator[TrafficWatch]:
    """Traffic over time: streams of packets while a block runs, and what happened to them.

    With `--kollalab-artifacts`, the picture and the JSON of each watch are written there.
    """
    lab: Lab = request.getfixturevalue("kollalab")
    with watching_traffic(request.config, lab, lab_nodes, request.node.nodeid) as watch:
        yield watch
