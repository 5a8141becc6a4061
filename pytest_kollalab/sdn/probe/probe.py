"""A probe: a network namespace plugged into a Neutron port on a chosen node."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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
    """The answer to an echo; true when the text came back. `name` is the probe that answered."""

    text: str
    answer: str
    error: str
    seconds: float

    def __bool__(self) -> bool:
        return self.answer.partition(" ")[2] == self.text

    @property
    def name(self) -> str:
        """The name that the other end answered with."""
        return self.answer.partition(" ")[0]


@dataclass(frozen=True)
class Transfer:
    """A bulk transfer; true when all of it arrived as it was sent. `sent` is in bytes."""

    sent: int
    seconds: float
    whole: bool
    error: str

    def __bool__(self) -> bool:
        return self.whole


class Probe:
    """A namespace with one or more ports; `ip`, `mac` and `device` are those of the first.

    Made by `Tenant.probe`. A target is another probe, a server or an address.
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
        """Ping, with seconds between; without any answer it ends `linger` seconds after the last.

        Once there was one, ping of iputils waits for the last no longer than `interval`, or twice
        the slowest so far; a `burst` has all requests at once, and `linger` seconds for the last.
        `size` is that of the IP packet, kept in one piece. With a `deadline`, in seconds, it goes
        on asking until then, or until there are as many answers as `count`. `ident`, 1 to 65535,
        tells its packets from those of another ping.
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
        """Wait until a ping is answered; the seconds that took. Raises WaitError."""
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
        """Send a text over TCP to a listener that runs on the target for just this call."""
        with target.listening("tcp", port):
            return self.ask("tcp", target, port, text, source_port=source_port)

    def udp_echo(
        self, target: Probe, text: str = "hello", *, port: int = 7777, source_port: int = 0
    ) -> EchoResult:
        """Send a text over UDP to a listener that runs on the target for just this call."""
        with target.listening("udp", port):
            return self.ask("udp", target, port, text, source_port=source_port)

    @contextmanager
    def listening(self, protocol: str, port: int) -> Iterator[None]:
        """Answer echoes on a port (protocol `tcp` or `udp`) until the block ends."""
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
        """Send a text to a listener that is there already."""
        words = [protocol, address_of(target), str(port), str(timeout), str(source_port), text]
        done = self.namespace.run(["python3", "-", "ask", *words], input=on_nodes.source("echo"))
        return EchoResult(text, **json.loads(done.stdout))

    def transfer(self, target: Probe, size: int = 10_000_000, *, timeout: float = 60) -> Transfer:
        """Send that many bytes over TCP to the target, which answers with their digest."""
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
        """Send packets from so many source ports, counted from the first; nobody answers.

        Of TCP they are those that open a connection.
        """
        words = [protocol, self.ip, address_of(target)]
        words += [str(port), str(first), str(flows), str(packets)]
        self.namespace.run(["python3", "-", "spray", *words], input=on_nodes.source("echo"))

    def traceroute(self, target: Target) -> tuple[str, ...]:
        """The address of each hop on the way, the target's last; `*` for one that is silent.

        One probe after the other: Linux sends one ICMP error a second to whom it has sent several
        (`icmp_ratelimit`), such as a router that was pinged through before it knew the way.
        """
        argv = ["traceroute", "-n", "-I", "-N", "1", "-q", "3", "-w", "2", "-m", "10"]
        return parse_traceroute(self.namespace.run([*argv, address_of(target)]).stdout)

    @contextmanager
    def capture(self, filter: str = "", *, port: Port | None = None) -> Iterator[tcpdump.Capture]:
        """Record packets on the first or the given port until the block ends.

        `filter` is in tcpdump's language. Yields a Capture with `packets`.
        """
        device = (port or self.ports[0]).device
        with tcpdump.capture(self.namespace, device, filter) as seen:
            yield seen

    def own(self, *addresses: str) -> None:
        """Have more addresses, beside those of the ports; answered for wherever they are asked."""
        lines = "".join(f"address replace {address}/32 dev lo\n" for address in addresses)
        self.namespace.run(["ip", "-batch", "-"], input=lines)

    def forward(self) -> None:
        """Pass on packets that are for others, as routers and service functions do."""
        self.namespace.run(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
