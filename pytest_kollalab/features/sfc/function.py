"""A service function: a namespace between two ports, and what it does with what it gets."""

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

# What comes in by one port leaves by the other, in both directions. Both ports are in one subnet,
# so each answers ARP only for its own address, and a rule for each says where to go on. A function
# with one port passes on by that one.
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
# Who keeps the header handles the frames itself: the kernel shall answer ARP and nothing more.
ANSWER = """
for key in all default "$1" "$2"; do
    sysctl -qw "net.ipv4.conf.$key.rp_filter=0" "net.ipv4.conf.$key.arp_ignore=1" \\
        "net.ipv4.conf.$key.arp_announce=2"
done
"""
# Before the rules that forward, whose preference is the kernel's.
FIREWALL_PREFERENCE = "100"
FORWARDED = re.compile(r"^Ip: [\d ]+$", re.MULTILINE)
FORWARDED_FIELD = 6


class Function(Probe):
    """A service function: a namespace that forwards between two ports, `ingress` and `egress`.

    Both are the same port for a function with one arm. `keeps` is the header (mpls or nsh) that it
    gets and hands on itself; without one the switch takes the header off before it and puts it on
    after it. `pair` is its port pair in the API.
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
        """Pass on by the one port what comes in by the other."""
        words = (self.ingress.device, self.egress.device, self.network.cidr)
        text = ANSWER if self.keeps else FORWARD
        self.namespace.run(["sh", "-eu", "-s", "--", *words], input=text)

    @contextmanager
    def handing_on_headers(self, turns: tuple[str, ...] = ()) -> Iterator[None]:
        """Pass on what has a service header, until the block ends.

        `turns` are pairs of addresses: what goes to the first is sent to the second.
        """
        argv = ["python3", "-u", "sfc_header.py", self.ingress.device, self.egress.device, *turns]
        files = {"sfc_header.py": on_nodes.source("sfc_header")}
        with self.namespace.background("header", argv, ready="^ready", files=files):
            yield

    @contextmanager
    def dropping(self, protocol: str, port: int) -> Iterator[None]:
        """Be a firewall: pass nothing on that goes to a port, until the block ends."""
        rule = ["iif", self.ingress.device, "ipproto", protocol, "dport", str(port), "blackhole"]
        rule += ["pref", FIREWALL_PREFERENCE]
        self.namespace.run(["ip", "rule", "add", *rule])
        try:
            yield
        finally:
            self.namespace.run(["ip", "rule", "del", *rule])

    @contextmanager
    def dead(self) -> Iterator[None]:
        """Be a machine that has crashed, until the block ends: its ports are there, and deaf."""
        self._set("down")
        try:
            yield
        finally:
            self._set("up")
            # A device that goes down takes its routes along.
            self.forward()

    def forwarded(self) -> int:
        """The IP packets that its kernel has forwarded since it was made."""
        said = self.namespace.run(["cat", "/proc/net/snmp"]).stdout
        return parse_forwarded(said)

    def _set(self, state: str) -> None:
        for port in self.ports:
            self.namespace.run(["ip", "link", "set", port.device, state])


def parse_forwarded(snmp: str) -> int:
    """The number of forwarded datagrams in what /proc/net/snmp says."""
    found = FORWARDED.search(snmp)
    assert found is not None, snmp
    return int(found[0].split()[FORWARDED_FIELD])
