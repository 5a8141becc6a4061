"""Service functions: namespaces that forward packets between two ports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_kollalab.sdn import on_nodes
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Network, Port

if TYPE_CHECKING:
    from pytest_kollalab.sdn.probe.namespace import Namespace

# Packets that arrive at one port leave by the other. Both ports are in the same subnet, so each
# answers ARP only for its own address, and a routing rule for each selects the other port. A
# function with one port sends packets out of the port that they came from.
FORWARD = """
ingress=$1 egress=$2 cidr=$3
for key in all default "$ingress" "$egress"; do
    sysctl -qw "net.ipv4.conf.$key.rp_filter=0" "net.ipv4.conf.$key.send_redirects=0" \\
        "net.ipv4.conf.$key.arp_ignore=1" "net.ipv4.conf.$key.arp_announce=2"
done
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_errors_use_inbound_ifaddr=1
ip route replace "$cidr" dev "$egress" table 101
ip rule del iif "$ingress" lookup 101 2> /dev/null || true
ip rule add iif "$ingress" lookup 101
[ "$ingress" = "$egress" ] && exit
ip route replace "$cidr" dev "$ingress" table 102
ip rule del iif "$egress" lookup 102 2> /dev/null || true
ip rule add iif "$egress" lookup 102
"""
# A function that keeps the header handles the frames itself; the kernel only answers ARP.
ANSWER = """
for key in all default "$1" "$2"; do
    sysctl -qw "net.ipv4.conf.$key.rp_filter=0" "net.ipv4.conf.$key.arp_ignore=1" \\
        "net.ipv4.conf.$key.arp_announce=2"
done
"""
# Lower than the preferences of the forwarding rules, which the kernel chooses.
FIREWALL_PREFERENCE = "100"
FORWARDED = re.compile(r"^Ip: [\d ]+$", re.MULTILINE)
FORWARDED_FIELD = 6


class Function(Probe):
    """A service function: a namespace that forwards packets between two ports.

    Attributes:
        ingress: The port at which packets arrive.
        egress: The port by which they leave; the same one for a function with one arm.
        keeps: The header (`mpls` or `nsh`) that it receives and passes on. With None the switch
            removes the header in front of the function and adds it behind.
        pair: The id of its port pair.
    """

    pair = ""

    def __init__(
        self,
        name: str,
        network: Network,
        namespace: Namespace,
        ingress: Port,
        egress: Port,
        *,
        keeps: str | None = None,
    ) -> None:
        super().__init__(
            name, network, namespace, [ingress] if ingress == egress else [ingress, egress]
        )
        self.ingress = ingress
        self.egress = egress
        self.keeps = keeps

    def forward(self) -> None:
        """Set up forwarding between the ports."""
        words = (self.ingress.device, self.egress.device, self.network.cidr)
        text = ANSWER if self.keeps else FORWARD
        self.namespace.run(["sh", "-eu", "-s", "--", *words], input=text)

    @contextmanager
    def handing_on_headers(self, turns: tuple[str, ...] = ()) -> Iterator[None]:
        """Pass on packets with a service header until the block ends.

        Args:
            turns: Pairs of addresses: packets to the first are sent to the second.
        """
        argv = ["python3", "-u", "sfc_header.py", self.ingress.device, self.egress.device, *turns]
        files = {"sfc_header.py": on_nodes.source("sfc_header")}
        with self.namespace.background("header", argv, ready="^ready", files=files):
            yield

    @contextmanager
    def dropping(self, protocol: str, port: int) -> Iterator[None]:
        """Drop packets to a port, as a firewall does, until the block ends."""
        rule = ["iif", self.ingress.device, "ipproto", protocol, "dport", str(port), "blackhole"]
        rule += ["pref", FIREWALL_PREFERENCE]
        self.namespace.run(["ip", "rule", "add", *rule])
        try:
            yield
        finally:
            self.namespace.run(["ip", "rule", "del", *rule])

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Act as a crashed machine, with its ports down, until the block ends."""
        self._set("down")
        try:
            yield
        finally:
            self._set("up")
            # A device that goes down loses its routes.
            self.forward()

    def forwarded(self) -> int:
        """The number of IP packets that its kernel has forwarded so far."""
        said = self.namespace.run(["cat", "/proc/net/snmp"]).stdout
        return parse_forwarded(said)

    def _set(self, state: str) -> None:
        for port in self.ports:
            self.namespace.run(["ip", "link", "set", port.device, state])


def parse_forwarded(snmp: str) -> int:
    """The number of forwarded datagrams in the text of /proc/net/snmp."""
    found = FORWARDED.search(snmp)
    assert found is not None, snmp
    return int(found[0].split()[FORWARDED_FIELD])
