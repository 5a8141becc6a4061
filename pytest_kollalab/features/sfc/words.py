"""Service function chaining: functions, chains through them, and the path that packets took."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

from pytest_kollalab.features.sfc import api
from pytest_kollalab.features.sfc.chain import Chain
from pytest_kollalab.features.sfc.function import Function
from pytest_kollalab.features.sfc.graph import ServiceGraph
from pytest_kollalab.features.sfc.group import Group, Traffic
from pytest_kollalab.features.sfc.path import (
    Ways,
    arrived,
    copies,
    flows_by_function,
    followed,
    ways,
)
from pytest_kollalab.sdn.capture.watch import Watch
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant import traces
from pytest_kollalab.sdn.tenant.network import Network
from pytest_kollalab.sdn.tenant.tenant import COMPUTE, Tenant
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.capture.packets import Packet, Sighting

__all__ = ["Chain", "Function", "Group", "ServiceGraph", "Sfc", "Step", "Traffic", "Ways"]

FIRST_PORT = 20000
SPRAYED_PORT = 9
# Open vSwitch leaves the ports of UDP out when it chooses a bucket (flow_hash_symmetric_l4): all
# datagrams between two hosts take the same one.
SHARED = "tcp"
IDENTS = 2**16 - 1
CLIENT_ERROR, SERVER_ERROR = 400, 500

Step = Function | Group | Sequence[Function]


class Sfc:
    """Chains of a tenant.

    A step of `through` is a function, a group, or a list of functions that share the load.
    Resources made inside `Tenant.part()` are removed when the block ends.
    """

    def __init__(self, tenant: Tenant, *, guests: str = "probe") -> None:
        self.tenant = tenant
        self.guests = guests
        self.functions: list[Function] = []
        self.chains: list[Chain] = []
        self._groups: list[Group] = []
        self._watch = Watch(tenant.ssh, tenant.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as undo:
            undo.callback(self._watch.stop)
            for chain in list(self.chains):
                undo.callback(chain.remove)

    def function(
        self,
        network: Network,
        node: str = COMPUTE,
        *,
        name: str | None = None,
        arms: int = 2,
        keeps: str | None = None,
        turns: tuple[str, str] | None = None,
        guest: str | None = None,
        weight: int | None = None,
    ) -> Function:
        """Make a service function on a node, which forwards what it gets.

        Args:
            network: the network of its ports.
            node: the node it is on.
            name: its name; random by default.
            arms: 2 for an ingress and an egress port, 1 for one port that is both.
            keeps: `mpls` or `nsh` for a function that gets the service header and passes it on
                with a lower index. By default the switch removes the header.
            turns: an address and another one; what goes to the first is sent to the second. For
                functions that keep the header.
            guest: `probe` (a network namespace) or `server` (a Nova server). By default what
                `--kollalab-guests` says, where Nova runs and a server can do it.
            weight: ask for that many times the flows of a function with the weight 1 in the same
                group.

        Returns:
            The function, plugged and with a port pair.
        """
        name = name or f"function-{secrets.token_hex(2)}"
        wanted = guest or (self.guests if node == COMPUTE and not keeps else "probe")
        if wanted == "server":
            from pytest_kollalab.features.sfc.server import server_function

            function: Function = server_function(self.tenant, network, node, name, arms)
        else:
            function = self._probe(network, node, name, arms, keeps, turns)
        pair = api.create(
            self.tenant,
            "port_pair",
            name=f"{self.tenant.name}-{name}",
            ingress=function.ingress.id,
            egress=function.egress.id,
            service_function_parameters={
                "correlation": keeps,
                **({"weight": weight} if weight is not None else {}),
            },
        )
        function.pair = pair["id"]
        self.functions.append(function)
        self.tenant.undo.callback(self._forget, function)
        return function

    def _probe(
        self,
        network: Network,
        node: str,
        name: str,
        arms: int,
        keeps: str | None,
        turns: tuple[str, str] | None,
    ) -> Function:
        ports = self.tenant.ports(network, node, [f"{name}-{n}" for n in ("in", "out")[:arms]])
        namespace = self.tenant.namespace(node, name, ports)
        self.tenant.plug(namespace, network, ports)
        function = Function(name, network, namespace, ports[0], ports[-1], keeps=keeps)
        function.forward()
        if keeps:
            self.tenant.undo.enter_context(function.handing_on_headers(turns or ()))
        return function

    def group(
        self, *functions: Function, tap: bool = False, balance_by: Iterable[str] = ()
    ) -> Group:
        """Make a group of functions that share the load, for several chains or to be changed.

        `balance_by` names the fields of a packet that choose its function, such as `ip_src`.
        """
        group = Group(self.tenant, functions, tap=tap, balance_by=balance_by, implicit=False)
        group.create()
        self.tenant.undo.callback(group.delete)
        return group

    def tap(self, function: Function) -> Group:
        """A step that gets a copy of the packets and diverts none."""
        return Group(self.tenant, [function], tap=True, implicit=True)

    def traffic(
        self,
        src: Probe,
        dst: Probe,
        *,
        protocol: str | None = None,
        port: int | None = None,
        ports: tuple[int | None, int | None] | None = None,
        anywhere: bool = False,
    ) -> Traffic:
        """The packets from src to dst, or those of a `protocol` (tcp, udp, icmp) and to a port.

        `ports` are the lowest and the highest port instead; None leaves a bound out. `anywhere`
        means packets from src to any address.
        """
        return Traffic(src, dst, protocol, port, ports, anywhere)

    def chain(
        self,
        src: Probe,
        dst: Probe,
        through: Iterable[Step],
        *,
        protocol: str | None = None,
        port: int | None = None,
        ports: tuple[int | None, int | None] | None = None,
        anywhere: bool = False,
        symmetric: bool = False,
        header: str = "mpls",
        number: int = 0,
        also: Iterable[Traffic] = (),
        within: float = 60,
    ) -> Chain:
        """Lead packets from src to dst through functions, in order; wait until it does.

        Args:
            src: the probe that sends.
            dst: the probe that receives.
            through: the steps.
            protocol: lead only this one: tcp, udp or icmp.
            port: lead only packets to this port.
            ports: lead only packets to these ports, see `traffic`.
            anywhere: lead packets from src to any address.
            symmetric: lead the answers through the same functions, in reverse order.
            header: what packets carry between functions: `mpls` or `nsh`.
            number: the chain's number in that header; 0 takes a free one.
            also: more traffic for the chain.
            within: how long it may take, in seconds.

        Raises:
            WaitError: Open vSwitch does not have all its flows and groups in that time.
        """
        chain = Chain(
            self.tenant,
            self._watch,
            [Traffic(src, dst, protocol, port, ports, anywhere), *also],
            self.steps(through),
            self.chains,
            symmetric=symmetric,
            header=header,
            number=number,
        )
        # The agent needs the ports to remove a chain's flows: so it goes before they do.
        self.tenant.undo.callback(chain.remove)
        chain.create(within)
        return chain

    def graph(self, links: Mapping[Chain, Sequence[Chain]]) -> ServiceGraph:
        """Join chains: packets at the end of one continue in the first of its next ones they match.

        Raises WorkaroundForbiddenError and WaitError.
        """
        graph = ServiceGraph(self.tenant, links)
        self.tenant.undo.callback(graph.delete)
        graph.create()
        return graph

    def alias(self, probe: Probe, name: str = "alias") -> Probe:
        """Give a probe a second address; it answers to both."""
        network = probe.network
        (port,) = self.tenant.ports(network, probe.node, [name])
        address = f"{port.ip}/{network.prefix}"
        probe.namespace.run(["ip", "address", "add", address, "dev", probe.device])
        remove = ["ip", "address", "del", address, "dev", probe.device]
        self.tenant.undo.callback(probe.namespace.run, remove, check=False)
        return Probe(name, network, probe.namespace, [port])

    def ask(self, kind: str, **fields: Any) -> str:
        """Create a resource such as a `flow_classifier` with these fields; returns its id.

        Raises openstacksdk's exceptions.
        """
        name = f"{self.tenant.name}-{secrets.token_hex(2)}"
        made = str(api.create(self.tenant, kind, name=name, **fields)["id"])
        self.tenant.undo.callback(api.delete, self.tenant, kind, made)
        return made

    @contextmanager
    def refused(self, because: str) -> Iterator[None]:
        """Expect that the API refuses the request in the block and Open vSwitch stays the same.

        `because` is a regular expression for the reason. Raises AssertionError when the API accepts
        the request or gives another reason.
        """
        from openstack import exceptions

        before = traces.take(self.tenant, traces.NODES)
        refusal: Any = None
        try:
            yield
        except exceptions.HttpException as error:
            refusal = error
        assert refusal is not None, f"it was not refused; expected: {because}"
        assert re.search(because, str(refusal.details)), f"it says: {refusal.details}"
        assert CLIENT_ERROR <= refusal.status_code < SERVER_ERROR, str(refusal)
        after = traces.take(self.tenant, traces.NODES)
        assert after.things == before.things, "\n".join(after.beyond(before))

    def copies(self, seen: Sequence[Sighting], tap: Function, src: Probe) -> list[Packet]:
        """The frames of a probe that came to a tap, which are not addressed to it."""
        return copies(seen, tap.ingress.device, src.mac)

    def followed(self, seen: Sequence[Sighting], port: int) -> list[Function]:
        """The functions that the UDP packets to a port came to, in order."""
        return followed(seen, self.functions, port)

    def steps(self, through: Iterable[Step]) -> list[Group]:
        """The groups of steps; a chain shares the group of functions that another has already."""
        return [self._group(step) for step in through]

    def path(self, src: Probe, dst: Probe, count: int = 3) -> list[Function]:
        """The functions that pings from src to dst crossed, in order, as captures show.

        Raises AssertionError when a ping is lost or the pings took different paths.
        """
        return self.ways(src, dst, count).there

    def ways(self, src: Probe, dst: Probe, count: int = 3) -> Ways:
        """The functions that pings from src to dst crossed, and those of the answers.

        Raises AssertionError when a ping is lost or the pings took different ways.
        """
        self._watch.over(*self.functions, src, dst)
        mark = self._watch.mark()
        # Of a stream that has just ended something may still be on its way.
        ident = 1 + secrets.randbelow(IDENTS)
        said = src.ping(dst, count, interval=0.02, ident=ident)

        def look() -> list[Sighting] | NotYet:
            seen = [each for each in self._watch.since(mark) if each.packet.ident == ident]
            answers = [p for p in arrived(seen, [src.device], dst.ip, src.ip) if p.is_echo_reply]
            return seen if len(answers) == count else NotYet(f"{len(answers)} answers")

        # Once it had an answer, ping waits for the last one no longer than twice the time of the
        # first, which on a busy host is not enough.
        try:
            seen = wait.until(f"{count} answers", look, timeout=3 * self.tenant.patience)
        except WaitError as error:
            raise AssertionError(f"{error}\n{said.output}") from None
        return ways(seen, self.functions, src.ip, dst.ip, count)

    def share(
        self, src: Probe, dst: Probe, flows: int = 200, packets: int = 2
    ) -> dict[Function, set[int]]:
        """The source ports of the flows that each function got, of so many from src to dst.

        Raises AssertionError when a flow did not stay with one function, or was lost.
        """
        with self.watching(src, dst) as seen:
            src.spray(dst, SPRAYED_PORT, FIRST_PORT, flows, packets, SHARED)
        ports = range(FIRST_PORT, FIRST_PORT + flows)
        return flows_by_function(seen, self.functions, src.ip, dst.ip, ports, packets)

    def arrivals(self, src: Probe, dst: Probe, flows: int = 200) -> set[int]:
        """The source ports of the flows that arrived, of so many from src to dst."""
        with self.watching(src, dst) as seen:
            src.spray(dst, SPRAYED_PORT, FIRST_PORT, flows, 1, SHARED)
        came = arrived(seen, [dst.device], src.ip, dst.ip)
        return {packet.sport for packet in came if packet.sport is not None}

    @contextmanager
    def watching(self, *ends: Probe) -> Iterator[list[Sighting]]:
        """Capture at all functions and these probes in the block; the list is filled at its end."""
        self._watch.over(*self.functions, *ends)
        mark = self._watch.mark()
        seen: list[Sighting] = []
        yield seen
        seen += self._watch.since(mark)

    def _group(self, step: Step) -> Group:
        if isinstance(step, Group):
            return step
        functions = [step] if isinstance(step, Function) else list(step)
        for chain in self.chains:
            for group in chain.groups:
                if group.implicit and group.functions == functions and not group.tap:
                    return group
        return Group(self.tenant, functions, implicit=True)

    def _forget(self, function: Function) -> None:
        api.delete(self.tenant, "port_pair", function.pair)
        self.functions.remove(function)
        self._watch.forget(function)
