"""Paths: the functions that captured packets crossed, in each direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.function import Function
    from pytest_kollalab.sdn.capture.packets import Packet, Sighting


ARP = 0x0806


class Ways(NamedTuple):
    """The functions on the way there and on the way back, in order."""

    there: list[Function]
    back: list[Function]


def ways(
    seen: Sequence[Sighting], functions: Iterable[Function], src: str, dst: str, count: int
) -> Ways:
    """The paths of `count` pings between two addresses, and of their answers.

    Raises:
        AssertionError: A function saw or passed on only some of the packets.
    """
    functions = tuple(functions)
    there = [(f, _of(seen, f, src, dst, request=True)) for f in functions]
    back = [(f, _of(seen, f, dst, src, request=False)) for f in functions]
    return Ways(crossed(there, count), crossed(back, count))


def whereabouts(seen: Sequence[Sighting], places: Mapping[str, Iterable[str]]) -> str:
    """How many pings and answers came to each place and left it, a line each.

    Args:
        seen: The captured packets.
        places: The devices of each place that was watched, by its name.
    """
    lines = []
    for name, named in places.items():
        devices = set(named)
        here = [each for each in seen if each.device in devices]
        counted = [
            sum(each.way == way and is_one(each.packet) for each in here)
            for is_one in (attrgetter("is_echo_request"), attrgetter("is_echo_reply"))
            for way in ("in", "out")
        ]
        lines.append("{}: pings {} in, {} out; answers {} in, {} out".format(name, *counted))
    return "\n".join(lines)


def crossed(
    seen: Iterable[tuple[Function, tuple[Sequence[Packet], Sequence[Packet]]]], count: int
) -> list[Function]:
    """The functions that packets crossed, in order.

    Functions are sorted by TTL, which each of them lowers by one, and then by time. So the clocks
    of different nodes do not matter.

    Args:
        seen: For each function, the packets that arrived and those that left.
        count: The number of packets that were sent.

    Raises:
        AssertionError: A function saw some packets, but not each of them once, or did not pass
            them on.
    """
    order = []
    for function, (came, went) in seen:
        for verb, packets in (("saw", came), ("passed on", went)):
            assert len(packets) in (0, count), (
                f"{function.name} {verb} {len(packets)} of {count} packets: {packets!r}"
            )
        assert len(came) == len(went), (
            f"{function.name} saw {len(came)} packets and passed on {len(went)}"
        )
        if came:
            order.append((-came[0].ttl, came[0].time, function))
    return [function for *_, function in sorted(order, key=lambda entry: entry[:2])]


def arrived(seen: Iterable[Sighting], devices: Iterable[str], src: str, dst: str) -> list[Packet]:
    """The packets from one address to another that arrived at devices."""
    devices = set(devices)
    return [
        each.packet
        for each in seen
        if each.device in devices
        and each.way == "in"
        and (each.packet.src, each.packet.dst) == (src, dst)
    ]


def followed(seen: Sequence[Sighting], functions: Iterable[Function], port: int) -> list[Function]:
    """The functions that UDP packets to a port arrived at, in order, whatever their addresses."""
    order = []
    for function in functions:
        came = [
            each.packet
            for each in seen
            if (each.device, each.way) == (function.ingress.device, "in")
            and (each.packet.protocol, each.packet.dport) == ("udp", port)
        ]
        if came:
            order.append((-came[0].ttl, came[0].time, function))
    return [function for *_, function in sorted(order, key=lambda entry: entry[:2])]


def copies(seen: Iterable[Sighting], device: str, mac: str) -> list[Packet]:
    """The frames from a MAC address that arrived at a device, to any address, without ARP."""
    return [
        each.packet
        for each in seen
        if (each.device, each.packet.src_mac) == (device, mac)
        and each.way != "out"
        and each.packet.ethertype != ARP
    ]


def flows_by_function(
    seen: Sequence[Sighting],
    functions: Iterable[Function],
    src: str,
    dst: str,
    ports: Sequence[int],
    packets: int,
) -> dict[Function, set[int]]:
    """The source ports of the flows that each function got.

    Args:
        seen: The captured packets.
        functions: The functions.
        src: The source address.
        dst: The destination address.
        ports: The source ports, one for each flow.
        packets: The number of packets of each flow.

    Raises:
        AssertionError: A flow went to several functions, or packets of it were lost.
    """
    shares: dict[Function, set[int]] = {}
    taken: dict[int, Function] = {}
    for function in functions:
        counted: dict[int, int] = {}
        for packet in arrived(seen, [port.device for port in function.ports], src, dst):
            if packet.sport is not None and packet.sport in ports:
                counted[packet.sport] = counted.get(packet.sport, 0) + 1
        if not counted:
            continue
        for port, number in counted.items():
            other = taken.setdefault(port, function)
            assert other is function, (
                f"the flow from port {port} went to {other.name} and to {function.name}"
            )
            assert number == packets, (
                f"{function.name} got {number} of {packets} packets of the flow from port {port}"
            )
        shares[function] = set(counted)
    lost = sorted(set(ports) - set(taken))
    assert not lost, f"no function got the flows from ports {lost}"
    return shares


def _of(
    seen: Sequence[Sighting], function: Function, src: str, dst: str, *, request: bool
) -> tuple[list[Packet], list[Packet]]:
    devices = {port.device for port in function.ports}
    packets = [
        each
        for each in seen
        if each.device in devices
        and (each.packet.src, each.packet.dst) == (src, dst)
        and (each.packet.is_echo_request if request else each.packet.is_echo_reply)
    ]
    came = [each.packet for each in packets if each.way == "in"]
    went = [each.packet for each in packets if each.way == "out"]
    return came, went
