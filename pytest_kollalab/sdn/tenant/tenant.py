"""A tenant: a project with all that a scenario makes in it, servers included."""

from __future__ import annotations

from typing import Any

from pytest_kollalab.sdn.tenant.network import Network
from pytest_kollalab.sdn.tenant.project import COMPUTE, CONTROLLER, Project
from pytest_kollalab.sdn.tenant.server import Server, boot

__all__ = ["COMPUTE", "CONTROLLER", "Tenant"]


class Tenant(Project):
    """A project of a scenario's own; everything made in it is removed when its block ends."""

    def server(self, network: Network, node: str = COMPUTE, **options: Any) -> Server:
        """A Nova server that has booted; the fixture `compute` must have been asked for."""
        return boot(self, network, node, **options)
