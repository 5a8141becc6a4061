"""Service function chaining: functions, chains through them, and the paths of packets."""

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
    whereabouts,
)
from pytest_kollalab.features.sfc.timing import Stream, streaming
from pytest_kollalab.sdn.capture.watch import Watch
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant import traces
from pytest_kollalab.sdn.tenant.network import Network
from pytest_kollalab.sdn.tenant.tenant import COMPUTE, Tenant
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.capture.packets import Packet, Sighting
    from pytest_kollalab.sdn.tenant.network import Port
    from pytest_kollalab.sdn.tenant.server import Server

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
    """Makes service functions and port chains of a tenant.

    A step of a chain is a function, a group, or a list of functions that share the load.
    Resources made inside `Tenant.part()` are removed when the block ends.

    Args:
        tenant: The project.
        guests: What functions are by default: `probe` or `server`.
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
        """Create a service function on a node. It forwards the packets that it receives.

        Args:
            network: The network of its ports.
            node: The node that it is on.
            name: Its name; random by default.
            arms: 2 for an ingress and an egress port, 1 for one port that is both.
            keeps: `mpls` or `nsh` for a function that gets the service header and passes it on
                with a lower index. By default the switch removes the header.
            turns: Two addresses: packets to the first are sent to the second. Only for functions
                that keep the header.
            guest: `probe` (a network namespace) or `server` (a Nova server). The default is the
                setting `--kollalab-guests`, where Nova runs and a server can do it.
            weight: Its weight for the load balancing in a group.

        Returns:
            The function, with plugged ports and a port pair.
        """
        name = name or f"function-{secrets.token_hex(2)}"
        wanted = guest or (self.guests if node == COMPUTE and not keeps else "probe")
        if wanted == "server":
            from pytest_kollalab.features.sfc.server import server_function

            function: Function = server_function(self.tenant, network, node, name, arms)
        else:
            function = self._probe(network, node, name, arms, keeps, turns)
        self._pair(function, weight)
        return function

    def take(self, server: Server, ingress: Port, egress: Port) -> Function:
        """Make a service function of a server that is there already and forwards packets.

        Args:
            server: The server.
            ingress: Its port at which packets arrive.
            egress: Its port by which they leave; it may be the same one.

        Returns:
            The function, with a port pair.
        """
        from pytest_kollalab.features.sfc.server import ServerFunction

        function = ServerFunction(server, server.network, ingress, egress)
        self._pair(function, None)
        return function

    def renewed(self, function: Function, server: Server) -> None:
        """Note that a function of `take` has another server now, with the same ports.

        The devices of its ports on the node are new ones, and are looked at from now on.
        """
        from pytest_kollalab.features.sfc.server import ServerFunction

        assert isinstance(function, ServerFunction), f"{function.name} is no server"
        function.server = server
        self._watch.forget(function)

    def drop(self, function: Function) -> None:
        """Delete the port pair of a function that no chain needs; calling it again does nothing.

        Its ports and its server stay.
        """
        if function in self.functions:
            api.delete(self.tenant, "port_pair", function.pair)
            self.functions.remove(function)
            self._watch.forget(function)

    @contextmanager
    def stream(self, src: Probe, dst: Probe) -> Iterator[Stream]:
        """Send a ping every 20 ms from one probe to another, for at most 300 s, in the block."""
        with streaming(src, dst, self._watch, self.tenant.patience) as stream:
            yield stream

    def _pair(self, function: Function, weight: int | None) -> None:
        with uninterrupted():
            pair = api.create(
                self.tenant,
                "port_pair",
                name=self.tenant.full_name(f"{function.name}-{secrets.token_hex(2)}"),
                ingress=function.ingress.id,
                egress=function.egress.id,
                service_function_parameters={
                    "correlation": function.keeps,
                    **({"weight": weight} if weight is not None else {}),
                },
            )
            function.pair = pair["id"]
            self.functions.append(function)
            self.tenant.undo.callback(self.drop, function)

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
        """Create a group of functions that share the load.

        A group is needed only to use it in several chains or to change it later.

        Args:
            *functions: The functions.
            tap: Whether they get copies of the packets instead of the packets themselves.
            balance_by: The fields of a packet that choose its function, such as `ip_src`.
        """
        group = Group(self.tenant, functions, tap=tap, balance_by=balance_by, implicit=False)
        with uninterrupted():
            group.create()
            self.tenant.undo.callback(group.delete)
        return group

    def tap(self, function: Function) -> Group:
        """A step in which a function gets copies of the packets and diverts none."""
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
        """Select packets from src to dst.

        Args:
            src: The probe that sends.
            dst: The probe that receives.
            protocol: Only packets of `tcp`, `udp` or `icmp`.
            port: Only packets to this port.
            ports: Only packets to ports from the first to the second; None leaves a bound out.
            anywhere: Packets from src to any address.
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
        """Create a port chain and wait until Open vSwitch has it.

        Args:
            src: The probe that sends.
            dst: The probe that receives.
            through: The steps, in order.
            protocol: Only packets of `tcp`, `udp` or `icmp`.
            port: Only packets to this port.
            ports: Only packets to ports from the first to the second; None leaves a bound out.
            anywhere: Packets from src to any address.
            symmetric: Whether answers go through the same functions in reverse order.
            header: The header of packets between functions: `mpls` or `nsh`.
            number: The chain's number in that header; 0 takes a free one.
            also: More traffic for the chain.
            within: Seconds that it may take.

        Raises:
            WaitError: Open vSwitch does not have all flows and groups in time.
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
        # Removed before its ports, which the agent needs to remove the chain's flows.
        self.tenant.undo.callback(chain.remove)
        chain.create(within)
        return chain

    def graph(self, links: Mapping[Chain, Sequence[Chain]]) -> ServiceGraph:
        """Create a service graph and wait until Open vSwitch has it.

        Args:
            links: For each chain, the chains that may follow it. A packet at the end of a chain
                continues in the first following chain whose traffic it belongs to.

        Raises:
            WorkaroundForbiddenError: A workaround is needed and forbidden.
            WaitError: Open vSwitch does not have all links in time.
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
        """Create a resource through the SFC API, and return its id.

        Args:
            kind: The kind of the resource, such as `flow_classifier`.
            **fields: The fields of the request.

        Raises:
            openstack.exceptions.HttpException: The API refuses the request.
        """
        name = self.tenant.full_name(secrets.token_hex(2))
        with uninterrupted():
            made = str(api.create(self.tenant, kind, name=name, **fields)["id"])
            self.tenant.undo.callback(api.delete, self.tenant, kind, made)
        return made

    @contextmanager
    def refused(self, because: str) -> Iterator[None]:
        """Expect that the API refuses the request in the block and Open vSwitch does not change.

        Args:
            because: A regular expression for the reason.

        Raises:
            AssertionError: The API accepts the request or gives another reason, or flows or groups
                of the tenant change.
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
        """The copies of a probe's frames that arrived at a tap."""
        return copies(seen, tap.ingress.device, src.mac)

    def followed(self, seen: Sequence[Sighting], port: int) -> list[Function]:
        """The functions that UDP packets to a port arrived at, in order."""
        return followed(seen, self.functions, port)

    def steps(self, through: Iterable[Step]) -> list[Group]:
        """The groups for steps. Chains share a group if they have the same functions in a step."""
        return [self._group(step) for step in through]

    def path(self, src: Probe, dst: Probe, count: int = 3) -> list[Function]:
        """Ping dst from src, and return the functions that captures saw the requests cross.

        Args:
            src: The probe that sends.
            dst: The probe that receives.
            count: The number of pings.

        Returns:
            The functions in the order of the path.

        Raises:
            AssertionError: A ping is lost, or the pings took different paths.
        """
        return self.ways(src, dst, count).there

    def ways(self, src: Probe, dst: Probe, count: int = 3) -> Ways:
        """Ping dst from src, and return the functions that requests and answers crossed.

        Raises:
            AssertionError: A ping is lost, or the pings took different paths.
        """
        self._watch.over(*self.functions, src, dst)
        mark = self._watch.mark()
        # A new identifier: pings of a stream that has just ended may still arrive.
        ident = 1 + secrets.randbelow(IDENTS)
        said = src.ping(dst, count, interval=0.02, ident=ident)

        def seen_so_far() -> list[Sighting]:
            return [each for each in self._watch.since(mark) if each.packet.ident == ident]

        def look() -> list[Sighting] | NotYet:
            seen = seen_so_far()
            answers = [p for p in arrived(seen, [src.device], dst.ip, src.ip) if p.is_echo_reply]
            return seen if len(answers) == count else NotYet(f"{len(answers)} answers")

        # After an answer, ping waits for the last one only twice the longest round trip, which is
        # not enough on a busy host.
        try:
            seen = wait.until(f"{count} answers", look, timeout=3 * self.tenant.patience)
        except WaitError as error:
            watched = (src, *self.functions, dst)
            places = {each.name: [port.device for port in each.ports] for each in watched}
            where = whereabouts(seen_so_far(), places)
            raise AssertionError(f"{error}\n{where}\n{said.output}") from None
        return ways(seen, self.functions, src.ip, dst.ip, count)

    def share(
        self, src: Probe, dst: Probe, flows: int = 200, packets: int = 2
    ) -> dict[Function, set[int]]:
        """Send TCP flows from src to dst, and return how functions shared them.

        Args:
            src: The probe that sends.
            dst: The probe that receives.
            flows: The number of flows, each with its own source port.
            packets: The number of packets of each flow.

        Returns:
            For each function, the source ports of its flows.

        Raises:
            AssertionError: Packets of a flow went to different functions, or were lost.
        """
        with self.watching(src, dst) as seen:
            src.spray(dst, SPRAYED_PORT, FIRST_PORT, flows, packets, SHARED)
        ports = range(FIRST_PORT, FIRST_PORT + flows)
        return flows_by_function(seen, self.functions, src.ip, dst.ip, ports, packets)

    def arrivals(self, src: Probe, dst: Probe, flows: int = 200) -> set[int]:
        """Send TCP flows from src to dst, and return the source ports of those that arrived."""
        with self.watching(src, dst) as seen:
            src.spray(dst, SPRAYED_PORT, FIRST_PORT, flows, 1, SHARED)
        came = arrived(seen, [dst.device], src.ip, dst.ip)
        return {packet.sport for packet in came if packet.sport is not None}

    @contextmanager
    def watching(self, *ends: Probe) -> Iterator[list[Sighting]]:
        """Capture at all functions and these probes; the list is filled when the block ends."""
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
