"""Service functions that are Nova servers, with a network card for each port."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pytest_kollalab.features.sfc.function import FORWARD, Function, parse_forwarded
from pytest_kollalab.sdn.capture.watch import ROOT
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.sdn.tenant.server import Server, boot

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.tenant import Tenant

USER_DATA = """\
#!/bin/sh
set -eu -- %s
%s
"""


def user_data(ingress: str, egress: str, cidr: str) -> str:
    """The script by which a server passes on packets between two of its devices.

    Args:
        ingress: The device at which they arrive.
        egress: The device by which they leave; it may be the same.
        cidr: The prefix of the network of both.
    """
    return USER_DATA % (f"{ingress} {egress} {cidr}", FORWARD)


class ServerFunction(Function):
    """A service function in a server. Packets are captured at its devices on the node."""

    def __init__(self, server: Server, network: Network, ingress: Port, egress: Port) -> None:
        # Its devices are in the node's own namespace.
        outside = Namespace(server.tenant.ssh, server.node, ROOT)
        super().__init__(server.name, network, outside, ingress, egress)
        self.server = server

    def forward(self) -> None:
        """Do nothing: the server has forwarded packets since it booted."""

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Pause the server until the block ends."""
        compute = self.server.tenant.admin_inside.compute
        compute.pause_server(self.server.id)
        self.server.await_status("PAUSED")
        try:
            yield
        finally:
            compute.unpause_server(self.server.id)
            self.server.await_status("ACTIVE")

    def forwarded(self) -> int:
        """The number of IP packets that its kernel has forwarded since it booted."""
        return parse_forwarded(self.server.ssh(["cat", "/proc/net/snmp"]).stdout)


def server_function(
    tenant: Tenant, network: Network, node: str, name: str, arms: int
) -> ServerFunction:
    """Start a server that forwards packets between its ports, and wait for it with `tenant.later`.

    Args:
        tenant: The project.
        network: The network, which needs DHCP.
        node: The node that the server runs on.
        name: The name of the function.
        arms: The number of ports: 1 or 2.
    """
    wanted: list[dict[str, Any]] = [
        {
            "name": tenant.full_name(f"{name}-{number}"),
            "project_id": tenant.project.id,
            "network_id": network.id,
            "port_security_enabled": False,
        }
        for number in range(arms)
    ]
    ports = tenant.make_ports(wanted)
    server = boot(
        tenant,
        network,
        node,
        name=name,
        user_data=user_data("eth0", f"eth{arms - 1}", network.cidr),
        ports=ports,
        ready=False,
    )
    tenant.later(server.await_ready)
    return ServerFunction(server, network, ports[0], ports[-1])
