"""A tenant: a project in which a scenario makes its networks, probes and servers."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.sdn.tenant.network import Network
from pytest_kollalab.sdn.tenant.project import COMPUTE, CONTROLLER, Project
from pytest_kollalab.sdn.tenant.server import Server, boot

__all__ = ["COMPUTE", "CONTROLLER", "Tenant"]


class Tenant(Project):
    """A scenario's own project. Resources made in it are removed when its block ends."""

    def server(self, network: Network, node: str = COMPUTE, **options: Any) -> Server:
        """Boot a Nova server and wait until it is ready.

        The test needs the fixture `compute`, which provides the guest image and the flavor.

        Args:
            network: The network of the server.
            node: The node that it runs on. In an external cloud the scheduler chooses the node.
            **options: Keyword arguments of `boot`.

        Raises:
            ConfigError: The cloud has no guest image or no flavor for it.
            WaitError: The server did not start in time.
        """
        return boot(self, network, node, **options)
