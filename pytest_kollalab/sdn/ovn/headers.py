"""The headers of a packet, as ovn-trace and as Open vSwitch's trace want them written."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_kollalab.sdn.capture.packets import Packet
from pytest_kollalab.system.errors import KollalabError

# How each of the protocols is called in a match of OVN and in one of Open vSwitch, by IP's version.
ICMP = {"icmp": ("icmp4", "icmp"), "icmp6": ("icmp6", "icmp6")}
PORTS = ("tcp", "udp")
ARP_TYPE = 0x0806


def expression(packet: Packet, port: str) -> str:
    """A packet that comes from a logical port, as a microflow of ovn-trace.

    Args:
        packet: The packet, such as one of a capture.
        port: The logical port; in Neutron's cloud the id of a port.

    Raises:
        KollalabError: The packet is neither ARP nor TCP, UDP or ICMP over IP.
    """
    return " && ".join([f'inport == "{port}"', *_terms(packet)])


def flow(packet: Packet, device: str) -> str:
    """A packet that comes from a device, as a flow of `ovs-appctl ofproto/trace`.

    Raises:
        KollalabError: The packet is neither ARP nor TCP, UDP or ICMP over IP.
    """
    fields = ",".join(_fields(packet))
    return f'in_port="{device}",{fields}'


def _terms(packet: Packet) -> Iterator[str]:
    yield f"eth.src == {packet.src_mac}"
    yield f"eth.dst == {packet.dst_mac}"
    if packet.arp is not None:
        yield f"arp.op == {packet.arp.operation}"
        yield f"arp.sha == {packet.arp.sender_mac}"
        yield f"arp.spa == {packet.arp.sender}"
        yield f"arp.tpa == {packet.arp.target}"
        return
    version = _version(packet)
    yield f"ip{version}.src == {packet.src}"
    yield f"ip{version}.dst == {packet.dst}"
    yield f"ip.ttl == {packet.ttl or 64}"
    if packet.protocol in ICMP and packet.icmp is not None:
        name, _ = ICMP[packet.protocol]
        yield f"{name}.type == {packet.icmp[0]}"
        yield f"{name}.code == {packet.icmp[1]}"
    else:
        # The port implies the protocol, but one without ports is an error as well.
        yield packet.protocol
        yield f"{packet.protocol}.src == {packet.sport}"
        yield f"{packet.protocol}.dst == {packet.dport}"


def _fields(packet: Packet) -> Iterator[str]:
    if packet.arp is not None:
        yield "arp"
        yield f"arp_op={packet.arp.operation}"
        yield f"arp_sha={packet.arp.sender_mac}"
        yield f"arp_spa={packet.arp.sender}"
        yield f"arp_tpa={packet.arp.target}"
    else:
        version = _version(packet)
        if packet.protocol in ICMP and packet.icmp is not None:
            yield ICMP[packet.protocol][1]
            yield f"icmp_type={packet.icmp[0]}"
            yield f"icmp_code={packet.icmp[1]}"
        else:
            yield packet.protocol if version == 4 else f"{packet.protocol}6"
            yield f"tp_src={packet.sport}"
            yield f"tp_dst={packet.dport}"
        name = "nw" if version == 4 else "ipv6"
        yield f"{name}_src={packet.src}"
        yield f"{name}_dst={packet.dst}"
        yield f"nw_ttl={packet.ttl or 64}"
    yield f"dl_src={packet.src_mac}"
    yield f"dl_dst={packet.dst_mac}"


def _version(packet: Packet) -> int:
    known = packet.protocol in ICMP and packet.icmp is not None
    if not packet.src or not (known or (packet.protocol in PORTS and packet.dport is not None)):
        raise KollalabError(
            "only ARP, TCP, UDP and ICMP packets can be traced",
            details=f"this one is {packet}",
            hint="make the packet with `ovn.packet`, or take one of these from a capture",
        )
    return 4 if packet.is_ipv4 else 6
