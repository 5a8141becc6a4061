"""A service function that is a Nova server: a real machine, with a card for each port."""

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


class ServerFunction(Function):
    """A function in a server. It is looked at from its node, where its cards end."""

    def __init__(self, server: Server, network: Network, ingress: Port, egress: Port) -> None:
        # Its devices are in no namespace of ours.
        outside = Namespace(server.tenant.ssh, server.node, ROOT)
        super().__init__(server.name, network, outside, ingress, egress)
        self.server = server

    def forward(self) -> None:
        """Nothing to do: it does so since it has booted."""

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Be a machine that stands still, until the block ends."""
        compute = self.server.tenant.admin_inside.compute
        compute.pause_server(self.server.id)
        self.server.await_status("PAUSED")
        try:
            yield
        finally:
            compute.unpause_server(self.server.id)
            self.server.await_status("ACTIVE")

    def forwarded(self) -> int:
        """The IP packets that its kernel has forwarded since it booted."""
        return parse_forwarded(self.server.ssh(["cat", "/proc/net/snmp"]).stdout)


def server_function(
    tenant: Tenant, network: Network, node: str, name: str, arms: int
) -> ServerFunction:
    """Boot a server that forwards between its ports. The network needs DHCP.

    It may still boot: `tenant.later` is told to wait for it.
    """
    api = tenant.admin.network
    wanted: list[dict[str, Any]] = [
        {
            "name": f"{tenant.name}-{name}-{number}",
            "project_id": tenant.project.id,
            "network_id": network.id,
            "port_security_enabled": False,
        }
        for number in range(arms)
    ]
    ports = []
    for made in api.create_ports(wanted):
        tenant.undo.callback(api.delete_port, made.id, ignore_missing=True)
        ports.append(Port(made.id, made.mac_address, made.fixed_ips[0]["ip_address"]))
    tenant.known_ports += ports
    cards = ["eth0", f"eth{arms - 1}", network.cidr]
    server = boot(
        tenant,
        network,
        node,
        name=name,
        user_data=USER_DATA % (" ".join(cards), FORWARD),
        ports=ports,
        ready=False,
    )
    tenant.later(server.await_ready)
    return ServerFunction(server, network, ports[0], ports[-1])
