"""Security groups of a tenant, and probes that are in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.system.signals import uninterrupted

if TYPE_CHECKING:
    from pytest_kollalab.sdn.tenant.network import Network
    from pytest_kollalab.sdn.tenant.tenant import Tenant


@dataclass(frozen=True)
class Guards:
    """Security groups of a tenant, and probes that are in them.

    In containers the network backend `ovs` filters nothing.

    Attributes:
        tenant: The tenant.
    """

    tenant: Tenant

    def group(self, name: str, *, stateful: bool = True) -> str:
        """Make a security group without rules and return its id; what leaves is allowed."""
        api: Any = self.tenant.admin.network
        with uninterrupted():
            made = api.create_security_group(
                name=self.tenant.full_name(name),
                project_id=self.tenant.project.id,
                stateful=stateful,
            )
            self.tenant.undo.callback(api.delete_security_group, made.id, ignore_missing=True)
        return str(made.id)

    def allow(self, group: str, protocol: str, port: int | None = None, **more: str) -> str:
        """Let traffic come in and return the id of the rule.

        Args:
            group: The id of the group.
            protocol: tcp, udp or icmp.
            port: The port of TCP and UDP.
            **more: Further attributes of the rule, such as `remote_ip_prefix`.
        """
        api: Any = self.tenant.admin.network
        ports = {} if port is None else {"port_range_min": port, "port_range_max": port}
        made = api.create_security_group_rule(
            security_group_id=group,
            direction="ingress",
            ethertype="IPv4",
            protocol=protocol,
            **ports,
            **more,
        )
        return str(made.id)

    def addresses(self, name: str, *addresses: str) -> str:
        """Make an address group and return its id."""
        api: Any = self.tenant.admin.network
        with uninterrupted():
            made = api.create_address_group(
                name=self.tenant.full_name(name),
                project_id=self.tenant.project.id,
                addresses=[f"{each}/32" for each in addresses],
            )
            self.tenant.undo.callback(api.delete_address_group, made.id, ignore_missing=True)
        return str(made.id)

    def probe(self, network: Network, node: str, name: str, groups: Sequence[str]) -> Probe:
        """Create a probe whose port is in security groups, and wait until the port is active."""
        (port,) = self.tenant.make_ports(
            [
                {
                    "name": self.tenant.full_name(name),
                    "project_id": self.tenant.project.id,
                    "network_id": network.id,
                    "device_owner": "compute:probe",
                    "device_id": self.tenant.full_name(name),
                    "binding:host_id": node,
                    "port_security_enabled": True,
                    "security_groups": list(groups),
                }
            ]
        )
        namespace = self.tenant.namespace(node, name, [port])
        self.tenant.plug(namespace, network, [port])
        return Probe(name, network, namespace, [port])
