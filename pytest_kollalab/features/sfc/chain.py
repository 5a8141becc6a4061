"""Port chains: made, changed and deleted through the API, and checked in the dataplane."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pytest_kollalab.features.sfc import api, oracle
from pytest_kollalab.features.sfc.oracle import (
    INGRESS,
    ChainLayout,
    Plan,
    Strays,
    entry,
    last_hops,
    leaving,
    plan,
)
from pytest_kollalab.features.sfc.timing import streaming
from pytest_kollalab.features.sfc.touching import await_change, repeat, touch
from pytest_kollalab.sdn import figures, workarounds
from pytest_kollalab.sdn.ovs.flows import Flows, Switch, look, remove
from pytest_kollalab.sdn.workarounds import LOST_UPDATE, STRAY_FLOWS
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import WaitError
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.function import Function
    from pytest_kollalab.features.sfc.group import Group, Traffic
    from pytest_kollalab.sdn.capture.watch import Watch
    from pytest_kollalab.sdn.tenant.tenant import Tenant

IN_PLACE = "chain: API call to first packet through it"
IN_FLOWS = "chain: API call to all flows"
DIRECT = "delete: API call to first packet on the direct path"
CHANGED = "update: API call to all flows"
FLOWS_GONE = "delete: API call to no flow left"


@dataclass
class Counts:
    """The packets that a chain's flows counted.

    The last three fields are for the answers in a symmetric chain.

    Attributes:
        classified: Packets that the chain took up at its source.
        delivered: Packets that were delivered to each function.
        passed_on: Packets that left each function.
        answered: Answers that the chain took up.
        returned: Answers that were delivered to each function.
        passed_back: Answers that left each function.
    """

    classified: int = 0
    delivered: dict[Function, int] = field(default_factory=dict)
    passed_on: dict[Function, int] = field(default_factory=dict)
    answered: int = 0
    returned: dict[Function, int] = field(default_factory=dict)
    passed_back: dict[Function, int] = field(default_factory=dict)


class Chain:
    """A port chain that leads traffic through groups of functions. It is made by `Sfc.chain`.

    As a context manager it is deleted when the block ends.
    """

    def __init__(
        self,
        tenant: Tenant,
        watch: Watch,
        traffic: Sequence[Traffic],
        groups: Sequence[Group],
        live: list[Chain],
        *,
        symmetric: bool = False,
        header: str = "mpls",
        number: int = 0,
    ) -> None:
        self.tenant = tenant
        self.traffic = tuple(traffic)
        self.groups = tuple(groups)
        self.symmetric = symmetric
        self.header = header
        self.id = ""
        self.number = number
        self._watch = watch
        self._live = live
        self._classifiers: dict[Traffic, str] = {}
        self._past: list[ChainLayout] = []
        self._elsewhere: tuple[str, ...] = ()
        self._deployed = False

    def __repr__(self) -> str:
        ends = ", ".join(f"{t.src.name} to {t.dst.name}" for t in self.traffic)
        return f"Chain({ends} through {' -> '.join(repr(group) for group in self.groups)})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.delete()
        else:
            self._clear_up()

    @property
    def layout(self) -> ChainLayout:
        """The chain as the API was asked for it."""
        members = tuple(tuple(group.functions) for group in self.groups)
        header, symmetric = self.header, self.symmetric
        return ChainLayout(self.number, self.traffic, self.groups, members, symmetric, header)

    @property
    def plan(self) -> Plan:
        """The flows and groups that Open vSwitch must have for it."""
        return plan(self.layout) if self.id else Plan()

    @property
    def functions(self) -> tuple[Function, ...]:
        """All functions in the order of the steps."""
        return self.layout.functions

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that have, or may have had, flows of the chain."""
        layouts = [*self._past, self.layout]
        nodes = [node for layout in layouts for node in layout.nodes]
        return tuple(dict.fromkeys([*nodes, *self._elsewhere]))

    def create(self, within: float = 60) -> None:
        """Create the chain with its classifiers and groups, and wait until Open vSwitch has it.

        If the chain leads pings, the times are recorded as figures.

        Args:
            within: Seconds that it may take.

        Raises:
            openstack.exceptions.HttpException: The API refuses the request.
            WaitError: Open vSwitch does not have all flows and groups in time.
        """
        with ExitStack() as undo:
            undo.callback(self._clear_up)
            self._prepare(self.traffic, self.groups)
            with self._pings() as stream:
                began = time.monotonic()
                if stream:
                    stream.begin()
                with uninterrupted():
                    made = self._call("create")
                    self.id, self.number = made["id"], int(made["chain_id"])
                    self._deployed = True
                    self._live.append(self)
                self.wait_in_dataplane(within)
                figures.record(IN_FLOWS, time.monotonic() - began)
                if stream:
                    stream.first_from(last_hops(self.layout), IN_PLACE)
            undo.pop_all()

    def update(
        self,
        *,
        through: Sequence[Group] | None = None,
        traffic: Iterable[Traffic] | None = None,
    ) -> None:
        """Replace the traffic or the groups, and wait until Open vSwitch has the change.

        Raises:
            openstack.exceptions.HttpException: The API refuses the request.
            WorkaroundForbiddenError: A workaround is needed and forbidden.
            WaitError: Open vSwitch does not have the change in time.
        """
        before, gone = self.groups, set(self.traffic)
        self._past.append(self.layout)
        groups = self.groups if through is None else tuple(through)
        wanted = self.traffic if traffic is None else tuple(traffic)
        self._prepare(wanted, groups)
        changed: dict[str, Any] = {}
        if traffic is not None:
            changed["flow_classifiers"] = [self._classifiers[each] for each in wanted]
        if through is not None:
            changed["port_pair_groups"] = [group.id for group in groups]
        api.update(self.tenant, "port_chain", self.id, **changed)
        self.groups, self.traffic = groups, wanted
        for group in before:
            if group not in groups:
                group.leave(self)
        for each in gone - set(wanted):
            api.delete(self.tenant, "flow_classifier", self._classifiers.pop(each))
        # The agent also deletes and recreates flows that do not change.
        self.wait_for_change(unseen=self.layout == self._past[-1])

    def delete(self) -> None:
        """Delete the chain and what only it needs, and wait until Open vSwitch has nothing of it.

        If the chain leads pings, the times are recorded as figures. Calling it again does nothing.

        Raises:
            WorkaroundForbiddenError: A workaround was needed and is forbidden.
            WaitError: Flows or groups are left.
        """
        if not self.id:
            return
        traffic = self.traffic
        with self._pings() as stream:
            began = time.monotonic()
            if stream:
                stream.begin()
            if self.remove():
                figures.record(FLOWS_GONE, time.monotonic() - began)
                if stream:
                    stream.first_from([traffic[0].src.mac], DIRECT)

    def remove(self) -> bool:
        """Delete it as `delete` does, without figures; calling it again does nothing.

        Returns:
            Whether no workaround was needed.

        Raises:
            WorkaroundForbiddenError: A workaround was needed and is forbidden.
            WaitError: Flows or groups are left.
        """
        if self.id:
            self.withdraw()
        try:
            return self._wait_removed() if self._deployed else True
        finally:
            # The agent needs the groups' ports to remove the flows.
            self._leave()

    def _wait_removed(self) -> bool:
        self._deployed = False
        patience = self.tenant.patience
        try:
            await_change(self.wait_gone, patience=patience)
        except WaitError as error:
            with workarounds.removing(STRAY_FLOWS, f"{self}\n{error.details}"):
                repeat(self.wait_gone, self.take_out, patience=patience)
            return False
        return True

    def _leave(self) -> None:
        for group in self.groups:
            group.leave(self)
        for made in self._classifiers.values():
            api.delete(self.tenant, "flow_classifier", made)
        self._classifiers.clear()

    def _clear_up(self) -> None:
        with workarounds.clearing_up():
            self.remove()

    def withdraw(self) -> None:
        """Delete it in the API without waiting. Raises openstacksdk's exceptions."""
        api.delete(self.tenant, "port_chain", self.id)
        self._past.append(self.layout)
        self.id = ""
        self._live.remove(self)

    def look_on(self, nodes: Iterable[str]) -> None:
        """Check these nodes for flows and groups of the chain as well."""
        self._elsewhere = tuple(nodes)

    def take_out(self) -> None:
        """Remove surplus flows and groups of the chain from Open vSwitch."""
        strays = self._surplus(self._switches())
        for node in self.nodes:
            remove(self.tenant.ssh, node, strays.flows[node], strays.groups[node])

    def remember(self, gone: Iterable[Function]) -> None:
        """Note that a group of the chain has had these functions before."""
        layout = self.layout
        past = (tuple(gone),) * len(layout.groups)
        self._past.append(
            ChainLayout(self.number, self.traffic, self.groups, past, self.symmetric, self.header)
        )

    def wait_for_change(self, *, unseen: bool = False) -> float:
        """Wait until a change is in Open vSwitch; lost flows are restored by a workaround.

        Args:
            unseen: Whether the change leaves the flows as they were.

        Returns:
            The seconds that it took.

        Raises:
            WorkaroundForbiddenError: Flows are lost and workarounds are forbidden.
            WaitError: Open vSwitch does not have the change in time.
        """
        started = time.monotonic()
        patience = self.tenant.patience
        try:
            await_change(self.wait_in_dataplane, patience=patience, unseen=unseen)
        except WaitError as error:
            workarounds.use(LOST_UPDATE, f"{self}\n{error.details}")
            repeat(self.wait_in_dataplane, self.touch, patience=patience)
            return time.monotonic() - started
        seconds = time.monotonic() - started
        if not unseen:
            figures.record(CHANGED, seconds)
        return seconds

    def wait_in_dataplane(self, timeout: float = 60) -> float:
        """Wait until Open vSwitch has exactly what the chain needs; returns the seconds."""
        return self._wait(f"{self} in the dataplane", timeout)

    def wait_gone(self, timeout: float = 60) -> float:
        """Wait until Open vSwitch has nothing of the chain; returns the seconds."""
        return self._wait(f"nothing left of {self}", timeout)

    def troubles(self) -> list[str]:
        """The missing and the surplus flows and groups in Open vSwitch, as text."""
        switches = self._switches()
        left = self._surplus(switches).told()
        return [*self.plan.missing(switches), *(f"left over: {each}" for each in left)]

    def stray(self) -> list[str]:
        """Flows that push a label for one of its functions although no flow delivers that label."""
        return oracle.stray(self._switches(), self.layout.macs)

    def flows(self, node: str) -> Flows:
        """The chain's flows on a node's br-int, which classify, encapsulate and deliver packets."""
        layouts = [*self._past, self.layout]
        return Flows(
            flow
            for flow in look(self.tenant.ssh, node).flows
            if any(oracle.belongs(flow, layout, ()) for layout in layouts)
        )

    @contextmanager
    def counting(self) -> Iterator[Counts]:
        """Count the packets of the chain's flows; the counts are filled when the block ends."""
        counts = Counts()
        before = self._switches(settled=True)
        yield counts
        after = self._switches(settled=True)
        grown = {node: switch.since(before[node]) for node, switch in after.items()}
        counts.classified = self._classified(grown, back=False)
        for function in self.functions:
            here = grown[function.node].flows
            counts.delivered[function] = _delivered(here, function, back=False)
            counts.passed_on[function] = self._passed(here, function, back=False)
        if self.symmetric:
            counts.answered = self._classified(grown, back=True)
            for function in self.functions:
                here = grown[function.node].flows
                counts.returned[function] = _delivered(here, function, back=True)
                counts.passed_back[function] = self._passed(here, function, back=True)

    def touch(self) -> None:
        """Make the agents ask again for the flows of all ports of the chain."""
        ends = {port for t in self.traffic for probe in (t.src, t.dst) for port in probe.ports}
        ports = ends | {port for function in self.functions for port in function.ports}
        touch(self.tenant, ports)

    def _classified(self, grown: dict[str, Switch], *, back: bool) -> int:
        ends = {(t.dst if back else t.src) for t in self.traffic}
        return sum(
            oracle.classifying(grown[end.node].flows, end.device, self.traffic, back=back)
            for end in ends
        )

    def _passed(self, here: Flows, function: Function, *, back: bool) -> int:
        device = leaving(function, back=back).device
        if function.keeps:
            return here.where(table=oracle.CLASSIFY, in_port=device).packets
        return oracle.classifying(here, device, self.traffic, back=back)

    def _prepare(self, traffic: Iterable[Traffic], groups: Iterable[Group]) -> None:
        for each in traffic:
            if each in self._classifiers:
                continue
            with uninterrupted():
                made = api.create(
                    self.tenant,
                    "flow_classifier",
                    name=self.tenant.full_name(secrets.token_hex(2)),
                    **each.classifier(symmetric=self.symmetric),
                )
                self._classifiers[each] = made["id"]
        for group in groups:
            group.enter(self)

    def _call(self, verb: str) -> dict[str, Any]:
        assert verb == "create"
        return api.create(
            self.tenant,
            "port_chain",
            name=self.tenant.full_name(secrets.token_hex(2)),
            port_pair_groups=[group.id for group in self.groups],
            flow_classifiers=[self._classifiers[each] for each in self.traffic],
            chain_parameters={"correlation": self.header, "symmetric": self.symmetric},
            **({"chain_id": self.number} if self.number else {}),
        )

    @contextmanager
    def _pings(self) -> Iterator[Any]:
        """A stream of pings of the first traffic, or None if the chain diverts no pings."""
        first = self.traffic[0] if self.traffic else None
        if first is None or not first.has_pings or not last_hops(self.layout):
            yield None
            return
        with streaming(first.src, first.dst, self._watch, self.tenant.patience) as stream:
            yield stream

    def _surplus(self, switches: dict[str, Switch]) -> Strays:
        others = [chain.layout for chain in self._live if chain is not self]
        return self.plan.surplus([*self._past, self.layout], others, switches)

    def _switches(self, *, settled: bool = False) -> dict[str, Switch]:
        with ThreadPoolExecutor() as pool:
            jobs = {n: pool.submit(look, self.tenant.ssh, n, settled=settled) for n in self.nodes}
        return {node: job.result() for node, job in jobs.items()}

    def _wait(self, what: str, timeout: float) -> float:
        started = time.monotonic()

        def check() -> bool | NotYet:
            troubles = self.troubles()
            return not troubles or NotYet("\n".join(troubles))

        wait.until(what, check, timeout=timeout * self.tenant.patience, interval=0.1)
        return time.monotonic() - started


def _delivered(here: Flows, function: Function, *, back: bool) -> int:
    port = entry(function, back=back)
    arriving = here.where(table=INGRESS, dl_dst=port.mac)
    return Flows(flow for flow in arriving if flow.does(f"output:{port.device}")).packets
