"""Probes: network namespaces that are plugged into Neutron ports on a chosen node."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from pytest_kollalab.sdn import on_nodes
from pytest_kollalab.sdn.capture import tcpdump
from pytest_kollalab.sdn.probe.namespace import Namespace
from pytest_kollalab.sdn.probe.ping import PingResult, parse_ping, parse_traceroute
from pytest_kollalab.sdn.tenant.network import Network, Port, Target, address_of
from pytest_kollalab.system import wait
from pytest_kollalab.system.wait import NotYet

IP_AND_ICMP_HEADERS = 28


@dataclass(frozen=True)
class EchoResult:
    """The result of an echo, which is true when the text came back.

    Attributes:
        text: The text that was sent.
        answer: The name of the probe that answered, a space, and the text that came back.
        error: Why there was no answer.
        seconds: How long it took.
    """

    text: str
    answer: str
    error: str
    seconds: float

    def __bool__(self) -> bool:
        return self.answer.partition(" ")[2] == self.text

    @property
    def name(self) -> str:
        """The name of the probe that answered."""
        return self.answer.partition(" ")[0]


@dataclass(frozen=True)
class Transfer:
    """The result of a bulk transfer, which is true when all data arrived unchanged.

    Attributes:
        sent: Bytes.
        seconds: How long it took.
        whole: Whether all data arrived unchanged.
        error: Why it failed.
    """

    sent: int
    seconds: float
    whole: bool
    error: str

    def __bool__(self) -> bool:
        return self.whole


@dataclass(frozen=True)
class DhcpOffer:
    """What a DHCP server offers; it is true when there was an offer.

    Attributes:
        address: The address.
        netmask: The netmask.
        router: The default gateway.
        dns: The first name server.
        server: The address of the server.
        mtu: The MTU in bytes, 0 if it was not told.
        lease: Seconds.
        routes: Gateways by prefix (RFC 3442).
    """

    address: str = ""
    netmask: str = ""
    router: str = ""
    dns: str = ""
    server: str = ""
    mtu: int = 0
    lease: int = 0
    routes: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.address)


class Probe:
    """A namespace with one or more ports; `ip`, `mac` and `device` are those of the first port.

    It is made by `Tenant.probe`. A target is another probe, a server or an IP address.
    """

    def __init__(
        self, name: str, network: Network, namespace: Namespace, ports: list[Port]
    ) -> None:
        self.name = name
        self.network = network
        self.namespace = namespace
        self.ports = ports

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, {self.ip} on {self.node})"

    @property
    def node(self) -> str:
        return self.namespace.node

    @property
    def ip(self) -> str:
        return self.ports[0].ip

    @property
    def mac(self) -> str:
        return self.ports[0].mac

    @property
    def device(self) -> str:
        return self.ports[0].device

    def ping(
        self,
        target: Target,
        count: int = 3,
        *,
        size: int | None = None,
        ttl: int | None = None,
        interval: float = 0.2,
        burst: bool = False,
        linger: float = 2,
        deadline: int | None = None,
        ident: int | None = None,
    ) -> PingResult:
        """Ping a target.

        Args:
            target: A probe, a server or an IP address.
            count: The number of requests.
            size: The size of the IP packet in bytes; it is not fragmented.
            ttl: The TTL of the requests.
            interval: Seconds between requests.
            burst: Whether to send all requests at once.
            linger: Seconds to wait for an answer after the last request. Once there was an answer,
                ping waits only for `interval` or twice the longest round trip, except in a burst.
            deadline: Seconds for which to send requests, until there are `count` answers.
            ident: The identifier of the requests, 1 to 65535.
        """
        pause = linger if burst else interval
        argv = ["ping", "-n", "-c", str(count), "-i", str(pause), "-W", str(linger)]
        if burst:
            argv += ["-l", str(count)]
        if deadline is not None:
            argv += ["-w", str(deadline)]
        if ident is not None:
            argv += ["-e", str(ident)]
        if size is not None:
            argv += ["-s", str(size - IP_AND_ICMP_HEADERS), "-M", "do"]
        if ttl is not None:
            argv += ["-t", str(ttl)]
        done = self.namespace.run([*argv, address_of(target)], check=False)
        return parse_ping(address_of(target), done.stdout + done.stderr)

    def reaches(self, target: Target, *, within: float = 30) -> float:
        """Wait until a ping is answered.

        Args:
            target: A probe, a server or an IP address.
            within: Seconds.

        Returns:
            The seconds that it took.

        Raises:
            WaitError: No ping is answered in time.
        """
        started = time.monotonic()

        def look() -> bool | NotYet:
            result = self.ping(target, 1, deadline=2)
            return result.received > 0 or NotYet(result.output.strip())

        wait.until(
            f"an answer of {address_of(target)} to a ping from {self.name}", look, timeout=within
        )
        return time.monotonic() - started

    def tcp_echo(
        self, target: Probe, text: str = "hello", *, port: int = 7777, source_port: int = 0
    ) -> EchoResult:
        """Send a text over TCP to a listener that runs on the target during this call."""
        with target.listening("tcp", port):
            return self.ask("tcp", target, port, text, source_port=source_port)

    def udp_echo(
        self, target: Probe, text: str = "hello", *, port: int = 7777, source_port: int = 0
    ) -> EchoResult:
        """Send a text over UDP to a listener that runs on the target during this call."""
        with target.listening("udp", port):
            return self.ask("udp", target, port, text, source_port=source_port)

    @contextmanager
    def listening(self, protocol: str, port: int) -> Iterator[None]:
        """Answer echoes on a port until the block ends; `protocol` is `tcp` or `udp`."""
        argv = ["python3", "-u", "echo.py", "listen", protocol, "0.0.0.0", str(port), self.name]
        with self.namespace.background(
            f"{protocol}-{port}", argv, ready="^ready", files={"echo.py": on_nodes.source("echo")}
        ):
            yield

    def ask(
        self,
        protocol: str,
        target: Target,
        port: int,
        text: str = "hello",
        *,
        source_port: int = 0,
        timeout: float = 5,
    ) -> EchoResult:
        """Send a text to a running listener.

        Args:
            protocol: `tcp` or `udp`.
            target: A probe, a server or an IP address.
            port: The port of the listener.
            text: The text.
            source_port: The port to send from; 0 takes any.
            timeout: Seconds.
        """
        words = [protocol, address_of(target), str(port), str(timeout), str(source_port), text]
        done = self.namespace.run(["python3", "-", "ask", *words], input=on_nodes.source("echo"))
        return EchoResult(text, **json.loads(done.stdout))

    def transfer(self, target: Probe, size: int = 10_000_000, *, timeout: float = 60) -> Transfer:
        """Send `size` bytes over TCP to the target, which answers with their digest."""
        argv = ["python3", "-u", "transfer.py", "receive", "0.0.0.0", "7778"]
        with target.namespace.background(
            "transfer", argv, ready="^ready", files={"transfer.py": on_nodes.source("transfer")}
        ):
            words = ["send", target.ip, "7778", str(size), str(timeout)]
            done = self.namespace.run(
                ["python3", "-", *words], input=on_nodes.source("transfer"), timeout=300
            )
        return Transfer(**json.loads(done.stdout))

    def spray(
        self, target: Target, port: int, first: int, flows: int, packets: int, protocol: str = "udp"
    ) -> None:
        """Send packets that need no answer, from consecutive source ports.

        Args:
            target: A probe, a server or an IP address.
            port: The destination port.
            first: The first source port.
            flows: The number of source ports.
            packets: The number of packets from each source port.
            protocol: `udp`, or `tcp` for SYN packets.
        """
        words = [protocol, self.ip, address_of(target)]
        words += [str(port), str(first), str(flows), str(packets)]
        self.namespace.run(["python3", "-", "spray", *words], input=on_nodes.source("echo"))

    def traceroute(self, target: Target) -> tuple[str, ...]:
        """Trace the route to a target.

        It sends one packet at a time, because Linux limits the rate of ICMP errors per receiver
        (`icmp_ratelimit`).

        Returns:
            The address of each hop, the target's last; `*` for a hop that does not answer.
        """
        argv = ["traceroute", "-n", "-I", "-N", "1", "-q", "3", "-w", "2", "-m", "10"]
        return parse_traceroute(self.namespace.run([*argv, address_of(target)]).stdout)

    @contextmanager
    def capture(self, filter: str = "", *, port: Port | None = None) -> Iterator[tcpdump.Capture]:
        """Capture packets at a port until the block ends.

        Args:
            filter: A filter expression of tcpdump.
            port: The port; by default the first one.

        Yields:
            The capture, with its `packets`.
        """
        device = (port or self.ports[0]).device
        with tcpdump.capture(self.namespace, device, filter) as seen:
            yield seen

    def dhcp_offer(self, *, within: float = 10) -> DhcpOffer:
        """Ask for an address by DHCP, and take none; false after `within` seconds without offer."""
        argv = ["python3", "-", self.device, self.mac, str(within)]
        done = self.namespace.run(argv, input=on_nodes.source("dhcp"), timeout=within + 30)
        return DhcpOffer(**json.loads(done.stdout))

    def own(self, *addresses: str) -> None:
        """Add addresses to the loopback device; the probe answers ARP for them on all its ports."""
        lines = "".join(f"address replace {address}/32 dev lo\n" for address in addresses)
        self.namespace.run(["ip", "-batch", "-"], input=lines)

    def forward(self) -> None:
        """Switch on IP forwarding, as on a router."""
        self.namespace.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
