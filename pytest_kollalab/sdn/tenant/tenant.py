"""A tenant: a project in which a scenario makes its networks, probes and servers."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.sdn.tenant.project import COMPUTE, CONTROLLER, Project
from pytest_kollalab.sdn.tenant.server import Server, boot

__all__ = ["COMPUTE", "CONTROLLER", "Tenant"]


class Tenant(Project):
    """A scenario's own project. Resources made in it are removed when its block ends."""

    def server(
        self,
        network: Network,
        node: str = COMPUTE,
        *,
        name: str | None = None,
        user_data: str | None = None,
        ports: Sequence[Port] = (),
        ready: bool = True,
    ) -> Server:
        """Boot a Nova server and wait until it is ready.

        The test needs the fixture `compute`, which provides the guest image and the flavor.

        Args:
            network: The network of the server.
            node: The node that it runs on. In an external cloud the scheduler chooses the node.
            name: The server's name; by default a random one.
            user_data: A script that the guest runs when it boots.
            ports: The ports of the server; by default it gets a new one on the network.
            ready: Whether to wait until the guest has booted as well.

        Raises:
            NoNodeError: There is no such node.
            ConfigError: The cloud has no Glance, no Nova, no guest image, or no flavor for it.
            WaitError: The server did not start in time.
        """
        return boot(self, network, node, name=name, user_data=user_data, ports=ports, ready=ready)
