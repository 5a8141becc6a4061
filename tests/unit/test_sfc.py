"""The pure parts of service chains: classifiers, and the order in which functions were crossed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_kollalab.sdn.namespace import Namespace
from pytest_kollalab.sdn.network import Network, Port, address_of
from pytest_kollalab.sdn.packets import Packet
from pytest_kollalab.sdn.probe import Probe
from pytest_kollalab.sdn.sfc import Function, classifier, crossed
from pytest_kollalab.ssh import Ssh

NETWORK = Network("n", "net", "s", "10.200.1.0/24", "10.200.1.1", 1450)
NAMESPACE = Namespace(Ssh(Path("ssh_config")), "compute-1", "kl-x")


def port(number: int) -> Port:
    return Port(f"{number:08x}-0000-0000", f"fa:16:3e:00:00:{number:02x}", f"10.200.1.{number}")


def function(name: str, number: int) -> Function:
    return Function(name, NETWORK, NAMESPACE, port(number), port(number + 1))


def request(ttl: int, time: float) -> Packet:
    return Packet(time, "", "", 0x0800, 98, ttl=ttl)


SOURCE = Probe("source", NETWORK, NAMESPACE, [port(10)])
TARGET = Probe("target", NETWORK, NAMESPACE, [port(20)])


def test_the_order_is_that_of_the_ttl_whatever_the_clocks_say() -> None:
    first, second, unused = function("a", 30), function("b", 40), function("c", 50)
    seen = [
        (second, [request(63, 1.0), request(63, 2.0)]),
        (first, [request(64, 5.0), request(64, 6.0)]),
        (unused, []),
    ]
    assert crossed(seen, 2) == [first, second]


def test_functions_that_do_not_route_are_ordered_by_time() -> None:
    first, second = function("a", 30), function("b", 40)
    assert crossed([(second, [request(64, 2.0)]), (first, [request(64, 1.0)])], 1) == [
        first,
        second,
    ]


def test_a_function_that_saw_half_of_the_packets_is_no_path() -> None:
    with pytest.raises(AssertionError, match="a saw 1 of 2"):
        crossed([(function("a", 30), [request(64, 1.0)])], 2)


def test_a_classifier_names_source_and_addresses() -> None:
    assert classifier(SOURCE, TARGET, None, None, symmetric=False) == {
        "ethertype": "IPv4",
        "logical_source_port": "0000000a-0000-0000",
        "source_ip_prefix": "10.200.1.10/32",
        "destination_ip_prefix": "10.200.1.20/32",
    }


def test_a_symmetric_classifier_with_a_port() -> None:
    fields = classifier(SOURCE, TARGET, "tcp", 80, symmetric=True)
    assert fields["logical_destination_port"] == "00000014-0000-0000"
    assert fields["protocol"] == "tcp"
    assert fields["destination_port_range_min"] == fields["destination_port_range_max"] == 80


def test_a_target_is_a_probe_or_an_address() -> None:
    assert address_of(TARGET) == address_of("10.200.1.20") == "10.200.1.20"


def test_the_device_of_a_port_fits_linux() -> None:
    assert Port("1f0e9d8c-7b6a-4958-8776-655443322110", "m", "i").device == "tap1f0e9d8c-7b"
