"""Sites: hosts in a data centre, behind the gateway, that the cloud knows only through BGP."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Collection, Sequence
from ipaddress import IPv4Network
from typing import Any

from pytest_kollalab.features.bgpvpn.speaker import Speaker
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Port
from pytest_kollalab.system.errors import KollalabError

# The MTU of Neutron's networks; it leaves room for MPLS labels and the GRE header.
MTU = 1450
BRIDGE = "br-mpls"
# The last byte of the address of a site.
HOST = 10


class Site(Probe):
    """A probe on the gateway, attached to a VPN instance of the gateway's BGP speaker."""

    def __init__(
        self, speaker: Speaker, name: str, network: Network, namespace: Namespace, port: Port
    ) -> None:
        super().__init__(name, network, namespace, [port])
        self.speaker = speaker
        self._attached: dict[str, Any] | None = None

    @classmethod
    def make(cls, speaker: Speaker, namespace: str, name: str, cidr: str) -> Site:
        """Create the host and plug it into the gateway.

        Args:
            speaker: The BGP speaker of the gateway.
            namespace: The name of the network namespace.
            name: The name of the site.
            cidr: The prefix that the host gets its address from.
        """
        net = IPv4Network(cidr)
        port = Port(str(uuid.uuid4()), _mac(), str(net[HOST]))
        network = Network(name, name, name, cidr, str(net[1]), MTU)
        site = cls(speaker, name, network, Namespace(speaker.ssh, speaker.node, namespace), port)
        site.namespace.plug(
            port.device,
            bridge=BRIDGE,
            mac=port.mac,
            mtu=MTU,
            address=f"{port.ip}/{net.prefixlen}",
            gateway=network.gateway,
        )
        return site

    def attach(self, imports: Sequence[str], exports: Sequence[str]) -> None:
        """Announce the host with the exported route targets, and accept routes of the imported."""
        self._attached = {
            "vpn_instance_id": self.namespace.name,
            "vpn_type": "ipvpn",
            "import_rt": list(imports),
            "export_rt": list(exports),
            "ip_address": f"{self.ip}/{self.network.prefix}",
            "mac_address": self.mac,
            "gateway_ip": self.network.gateway,
            "local_port": {
                "linuxif": self.device,
                "ovs": {"plugged": True, "port_name": self.device},
            },
        }
        self.speaker.tell("attach_localport", self._attached)

    def detach(self) -> None:
        """Withdraw the host's route; without one it does nothing."""
        if self._attached is not None:
            self.speaker.tell("detach_localport", self._attached)
            self._attached = None

    def remove(self) -> None:
        """Withdraw the route and remove the host."""
        self.detach()
        self.namespace.remove([self.device])


def free_prefix(taken: Collection[str]) -> str:
    """The prefix of a new site: one of 192.168.0.0/16 that is not in use.

    Words look for routes and flows by address. So sites have addresses of their own in the whole
    lab, also those of tests that run at the same time.

    Args:
        taken: The prefixes that there are routes to; those of sites have 32 bits.

    Raises:
        KollalabError: All are in use.
    """
    of_hosts = {f"192.168.{number}.0/24": f"192.168.{number}.{HOST}/32" for number in range(1, 255)}
    free = [prefix for prefix, host in of_hosts.items() if host not in taken]
    if not free:
        raise KollalabError(
            f"there are {len(of_hosts)} sites already", hint="remove those that are not needed"
        )
    return secrets.choice(free)


def _mac() -> str:
    tail = secrets.token_bytes(3)
    return ":".join(["52", "54", "00", *(f"{byte:02x}" for byte in tail)])
