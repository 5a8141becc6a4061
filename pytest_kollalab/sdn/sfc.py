"""Service function chaining: functions, chains through them, and the path that packets took."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from pytest_kollalab import wait
from pytest_kollalab.sdn.flows import Flows, bridge_flows
from pytest_kollalab.sdn.network import Network, Port, Target, address_of
from pytest_kollalab.sdn.probe import Capture, Probe
from pytest_kollalab.sdn.tenant import COMPUTE, Tenant
from pytest_kollalab.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.sdn.namespace import Namespace

# What networking-sfc uses on br-int.
CLASSIFY, ACROSS, INGRESS = 0, 5, 10
CLASSIFY_PRIORITY = 30

# What comes in by one port leaves by the other, in both directions. Both ports are in one subnet,
# so each answers ARP only for its own address, and a rule for each says where to go on.
FORWARD = """
ingress=$1 egress=$2 cidr=$3
for key in all default "$ingress" "$egress"; do
    sysctl -qw "net.ipv4.conf.$key.rp_filter=0" "net.ipv4.conf.$key.send_redirects=0" \\
        "net.ipv4.conf.$key.arp_ignore=1" "net.ipv4.conf.$key.arp_announce=2"
done
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.icmp_errors_use_inbound_ifaddr=1
ip route replace "$cidr" dev "$egress" table 101
ip rule add iif "$ingress" lookup 101
ip route replace "$cidr" dev "$ingress" table 102
ip rule add iif "$egress" lookup 102
"""


class Function(Probe):
    """A service function: a namespace that forwards between two ports, `ingress` and `egress`."""

    def __init__(
        self, name: str, network: Network, namespace: Namespace, ingress: Port, egress: Port
    ) -> None:
        super().__init__(name, network, namespace, [ingress, egress])
        self.ingress = ingress
        self.egress = egress


@dataclass
class Counts:
    """Packets that a chain's flows counted: at its source, to each function, and on from it."""

    classified: int = 0
    delivered: dict[Function, int] = field(default_factory=dict)
    passed_on: dict[Function, int] = field(default_factory=dict)


class Chain:
    """A port chain from one port to another through functions, in order.

    Made by `Sfc.chain`. As a context it is deleted, and gone from the dataplane, when the block
    ends.
    """

    def __init__(
        self,
        tenant: Tenant,
        src: Probe,
        dst: Probe,
        through: Sequence[Sequence[Function]],
        symmetric: bool,
    ) -> None:
        self.tenant = tenant
        self.src = src
        self.dst = dst
        self.through = through
        self.symmetric = symmetric
        self.id = ""
        self.number = 0
        self.groups: list[int] = []
        self._made = time.monotonic()
        self._undo = ExitStack()

    def __repr__(self) -> str:
        names = ["|".join(f.name for f in group) for group in self.through]
        return f"Chain({' -> '.join([self.src.name, *names, self.dst.name])})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.delete()
        if error is None:
            self.wait_gone()

    @property
    def functions(self) -> tuple[Function, ...]:
        """All functions, in order; those that share the load beside each other."""
        return tuple(function for group in self.through for function in group)

    def create(self, classifier: dict[str, Any]) -> None:
        """Make the classifier, a group of port pairs for each step, and the chain."""
        api = self.tenant.cloud.network
        name = f"{self.tenant.name}-{secrets.token_hex(2)}"
        with ExitStack() as undo:
            made = api.create_sfc_flow_classifier(name=name, **classifier)
            undo.callback(api.delete_sfc_flow_classifier, made.id, ignore_missing=True)
            classifiers, groups = [made.id], []
            for number, functions in enumerate(self.through):
                pairs = [self._pair(f"{name}-{number}", function, undo) for function in functions]
                made_group = api.create_sfc_port_pair_group(
                    name=f"{name}-{number}", port_pairs=pairs
                )
                undo.callback(api.delete_sfc_port_pair_group, made_group.id, ignore_missing=True)
                groups.append(made_group.id)
            chain = api.create_sfc_port_chain(
                name=name,
                port_pair_groups=groups,
                flow_classifiers=classifiers,
                chain_parameters={"correlation": "mpls", "symmetric": self.symmetric},
            )
            undo.callback(api.delete_sfc_port_chain, chain.id, ignore_missing=True)
            self._undo = undo.pop_all()
        self._made = time.monotonic()
        self.id = chain.id
        # Neither number is known to the SDK; both are in the flows.
        self.number = api.get(f"/sfc/port_chains/{chain.id}").json()["port_chain"]["chain_id"]
        for group in groups:
            shown = api.get(f"/sfc/port_pair_groups/{group}").json()["port_pair_group"]
            self.groups.append(int(shown["group_id"]))

    def delete(self) -> None:
        """Remove the chain, then its groups, pairs and classifier; a second time does nothing."""
        self._undo.close()

    def label(self, step: int) -> int:
        """The MPLS label on the way to a step, counted from 0."""
        return self.number << 8 | (255 - step)

    def wait_in_dataplane(self, timeout: float = 60) -> float:
        """Wait until the flows are in Open vSwitch; the seconds since the chain was made."""

        def look() -> bool | NotYet:
            missing = self.missing()
            return not missing or NotYet(f"missing: {', '.join(missing)}")

        wait.until(
            f"{self} in the dataplane",
            look,
            timeout=timeout * self.tenant.patience,
            interval=0.1,
        )
        return time.monotonic() - self._made

    def wait_gone(self, timeout: float = 60) -> float:
        """Wait until no flow of the chain is left in Open vSwitch; the seconds that took."""
        started = time.monotonic()

        def look() -> bool | NotYet:
            left = [str(flow) for node in self.nodes for flow in self.flows(node)]
            return not left or NotYet("left:\n" + "\n".join(left))

        wait.until(f"no flow of {self}", look, timeout=timeout * self.tenant.patience, interval=0.1)
        return time.monotonic() - started

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that the chain has flows on."""
        ends = [self.src, self.dst] if self.symmetric else [self.src]
        return tuple(dict.fromkeys(probe.node for probe in (*ends, *self.functions)))

    def flows(self, node: str) -> Flows:
        """The chain's flows on br-int of a node: those that classify, encapsulate and deliver."""
        everything = bridge_flows(self.tenant.ssh, node)
        return Flows(flow for flow in everything if self._is_ours(flow))

    @contextmanager
    def counting(self) -> Iterator[Counts]:
        """Count what the chain's flows see during the block; the numbers are there at its end."""
        counts = Counts()
        before = {node: self._settled(node) for node in self.nodes}
        yield counts
        grown = {node: self._settled(node).since(before[node]) for node in self.nodes}
        counts.classified = _classifying(grown[self.src.node], self.src.device).packets
        for function in self.functions:
            here = grown[function.node]
            arrived = here.where("mpls", table=INGRESS, dl_dst=function.ingress.mac)
            counts.delivered[function] = arrived.packets
            counts.passed_on[function] = _classifying(here, function.egress.device).packets

    def missing(self) -> list[str]:
        """The flows that should be there and are not, in words."""
        seen = {node: bridge_flows(self.tenant.ssh, node) for node in self.nodes}
        missing = []
        if not _classifying(seen[self.src.node], self.src.device):
            missing.append(f"{self.src.name} classified on {self.src.node}")
        for step, functions in enumerate(self.through):
            for function in functions:
                here = seen[function.node]
                arriving = here.where(
                    "mpls", table=INGRESS, dl_dst=function.ingress.mac, mpls_label=self.label(step)
                )
                if not arriving:
                    missing.append(f"delivery to {function.name} on {function.node}")
                if not _classifying(here, function.egress.device):
                    missing.append(f"{function.name} goes on, on {function.node}")
                if self.symmetric and not _classifying(here, function.ingress.device):
                    missing.append(f"{function.name} goes back, on {function.node}")
        if self.symmetric and not _classifying(seen[self.dst.node], self.dst.device):
            missing.append(f"{self.dst.name} classified on {self.dst.node}")
        return missing

    def _settled(self, node: str) -> Flows:
        everything = bridge_flows(self.tenant.ssh, node, settled=True)
        return Flows(flow for flow in everything if self._is_ours(flow))

    def _is_ours(self, flow: Any) -> bool:
        labels = {str(self.label(step)) for step in range(len(self.through) + 1)}
        macs = {port.mac for f in self.functions for port in f.ports}
        devices = {self.src.device, *(f.egress.device for f in self.functions)}
        if self.symmetric:
            devices |= {self.dst.device, *(f.ingress.device for f in self.functions)}
        match = flow.match
        return (
            (
                flow.table == CLASSIFY
                and flow.priority == CLASSIFY_PRIORITY
                and match.get("in_port") in devices
            )
            or (flow.table == ACROSS and match.get("dl_dst") in macs)
            or (flow.table == INGRESS and match.get("mpls_label") in labels)
        )

    def _pair(self, name: str, function: Function, undo: ExitStack) -> str:
        api = self.tenant.cloud.network
        pair = api.create_sfc_port_pair(
            name=f"{name}-{function.name}",
            ingress=function.ingress.id,
            egress=function.egress.id,
        )
        undo.callback(api.delete_sfc_port_pair, pair.id, ignore_missing=True)
        return str(pair.id)


class Sfc:
    """Chains of a tenant. `through` of a chain are functions, or lists that share the load."""

    def __init__(self, tenant: Tenant) -> None:
        self.tenant = tenant
        self.functions: list[Function] = []
        self.chains: list[Chain] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with ExitStack() as undo:
            for chain in self.chains:
                undo.callback(chain.delete)

    def function(
        self, network: Network, node: str = COMPUTE, *, name: str | None = None
    ) -> Function:
        """A service function on a node that passes on what it gets."""
        name = name or f"function-{secrets.token_hex(2)}"
        device = f"{self.tenant.name}-{name}"
        ingress = self.tenant.port(network, node, f"{name}-in", device=device)
        egress = self.tenant.port(network, node, f"{name}-out", device=device)
        namespace = self.tenant.namespace(node, name, [ingress, egress])
        self.tenant.plug(namespace, network, [ingress, egress])
        words = (ingress.device, egress.device, network.cidr)
        namespace.run(["sh", "-eu", "-s", "--", *words], input=FORWARD)
        function = Function(name, network, namespace, ingress, egress)
        self.functions.append(function)
        return function

    def chain(
        self,
        src: Probe,
        dst: Probe,
        through: Iterable[Function | Sequence[Function]],
        *,
        protocol: str | None = None,
        port: int | None = None,
        symmetric: bool = False,
    ) -> Chain:
        """Lead what src sends to dst through functions, in order; wait for it in the dataplane.

        `protocol` (tcp, udp, icmp) and the destination `port` narrow down what is led.
        `symmetric` leads the answers through the same functions, backwards.
        """
        steps = [[step] if isinstance(step, Function) else list(step) for step in through]
        chain = Chain(self.tenant, src, dst, steps, symmetric)
        chain.create(classifier(src, dst, protocol, port, symmetric=symmetric))
        self.chains.append(chain)
        # The agent needs the ports to remove a chain's flows: so it goes before they do.
        self.tenant.undo.callback(chain.delete)
        chain.wait_in_dataplane()
        return chain

    def path(self, src: Probe, dst: Target, count: int = 3) -> list[Function]:
        """The functions that pings from src to dst crossed, in order, as captures show.

        Raises AssertionError when a ping is lost or the pings took different paths.
        """
        with self.watch(src, dst) as seen:
            result = src.ping(dst, count)
        assert result, f"{result}\n{result.output}"
        return crossed(
            ((f, seen[f].packets.between(src.ip, address_of(dst)).requests) for f in seen), count
        )

    @contextmanager
    def watch(self, src: Probe, dst: Target) -> Iterator[dict[Function, Capture]]:
        """Capture, at the ingress of every function, what goes between two addresses."""
        wanted = f"icmp and host {src.ip} and host {address_of(dst)}"
        with ExitStack() as captures:
            yield {f: captures.enter_context(f.capture(wanted)) for f in self.functions}


def classifier(
    src: Probe, dst: Probe, protocol: str | None, port: int | None, *, symmetric: bool
) -> dict[str, Any]:
    """What the API wants to know about the packets of a chain."""
    fields: dict[str, Any] = {
        "ethertype": "IPv4",
        "logical_source_port": src.ports[0].id,
        "source_ip_prefix": f"{src.ip}/32",
        "destination_ip_prefix": f"{dst.ip}/32",
    }
    if symmetric:
        fields["logical_destination_port"] = dst.ports[0].id
    if protocol is not None:
        fields["protocol"] = protocol
    if port is not None:
        fields |= {"destination_port_range_min": port, "destination_port_range_max": port}
    return fields


def crossed(seen: Iterable[tuple[Function, Sequence[Any]]], count: int) -> list[Function]:
    """The functions in the order in which packets came by: by falling TTL, then by time.

    Each function lowers the TTL by one, which needs no common clock. Raises AssertionError when
    a function saw some of the `count` packets, but not each of them once.
    """
    order = []
    for function, packets in seen:
        assert len(packets) in (0, count), (
            f"{function.name} saw {len(packets)} of {count} packets: {packets!r}"
        )
        if packets:
            first = packets[0]
            order.append((-first.ttl, first.time, function))
    return [function for *_, function in sorted(order, key=lambda entry: entry[:2])]


def _classifying(flows: Flows, device: str) -> Flows:
    return flows.where(table=CLASSIFY, priority=CLASSIFY_PRIORITY, in_port=device)
