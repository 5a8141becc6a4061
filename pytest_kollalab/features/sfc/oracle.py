"""The oracle of chains: the flows and groups that Open vSwitch must have for a chain.

networking-sfc uses these parts of br-int: table 0 classifies packets at the source and behind each
function, a select group chooses the next function, table 5 pushes the label, and table 10 delivers
by label and address and pops the label. Answers use groups whose numbers are 7000 higher.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pytest_kollalab.sdn.ovs.flows import Flow, Flows, Switch

if TYPE_CHECKING:
    from pytest_kollalab.features.sfc.function import Function
    from pytest_kollalab.features.sfc.group import Group, Traffic
    from pytest_kollalab.sdn.tenant.network import Port

CLASSIFY, ACROSS, TAP, INGRESS = 0, 5, 7, 10
CLASSIFY_PRIORITY = 30
REVERSE = 7000
HIGHEST_INDEX = 255
INDEX_BITS = 8
LABEL = "set mpls_label="

Switches = Mapping[str, Switch]


@dataclass(frozen=True)
class ChainLayout:
    """A chain as it was requested at one moment.

    Attributes:
        number: The chain's number in the header.
        traffic: The traffic that it leads.
        groups: The groups, in order.
        members: The functions of each group.
        symmetric: Whether it leads answers as well.
        header: The header of packets between functions: `mpls` or `nsh`.
    """

    number: int
    traffic: tuple[Traffic, ...]
    groups: tuple[Group, ...]
    members: tuple[tuple[Function, ...], ...]
    symmetric: bool = False
    header: str = "mpls"

    @property
    def functions(self) -> tuple[Function, ...]:
        """All functions in the order of the steps."""
        return tuple(function for group in self.members for function in group)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The nodes that the chain has flows on."""
        ends = [t.src.node for t in self.traffic]
        if self.symmetric:
            ends += [t.dst.node for t in self.traffic]
        return tuple(dict.fromkeys([*ends, *(function.node for function in self.functions)]))

    @property
    def macs(self) -> set[str]:
        """The MAC addresses of the functions' ports."""
        return {port.mac for function in self.functions for port in function.ports}

    @property
    def numbers(self) -> set[int]:
        """The numbers of its groups in Open vSwitch."""
        forth = {group.number for group in self.groups}
        return forth | {number + REVERSE for number in forth} if self.symmetric else forth

    def label(self, step: int) -> int:
        """The MPLS label on the way to a step, counted from 0."""
        return self.number << INDEX_BITS | (HIGHEST_INDEX - step)

    def mark(self, step: int) -> dict[str, str]:
        """The match on the header of packets on the way to a step, counted from 0."""
        if self.header == "nsh":
            return {"nsh_spi": hex(self.number), "nsh_si": str(HIGHEST_INDEX - step)}
        return {"mpls_label": str(self.label(step))}


@dataclass(frozen=True)
class Wanted:
    """A flow that a node must have, by some of its fields and actions. `why` is for messages."""

    node: str
    why: str
    table: int
    priority: int
    match: Mapping[str, str]
    actions: tuple[str, ...] = ()

    def is_met_by(self, node: str, flow: Flow) -> bool:
        """Whether a flow on a node is the wanted one."""
        return (
            (node, flow.table, flow.priority) == (self.node, self.table, self.priority)
            and all(flow.match.get(name) == value for name, value in self.match.items())
            and all(action in flow.actions for action in self.actions)
        )


@dataclass
class Plan:
    """What a chain needs: flows, and by node and number the MAC addresses that groups lead to."""

    flows: list[Wanted] = field(default_factory=list)
    groups: dict[tuple[str, int], set[str]] = field(default_factory=dict)

    def missing(self, switches: Switches) -> list[str]:
        """The missing flows and groups, as text."""
        lacking = [
            wanted.why
            for wanted in self.flows
            if not any(wanted.is_met_by(wanted.node, flow) for flow in switches[wanted.node].flows)
        ]
        for (node, number), macs in self.groups.items():
            group = switches[node].groups.get(number)
            if group is None or group.leads_to() != macs:
                seen = sorted(group.leads_to()) if group else "not there"
                lacking.append(f"group {number} on {node} to {sorted(macs)}: {seen}")
        return lacking

    def surplus(
        self, ours: Iterable[ChainLayout], others: Iterable[ChainLayout], switches: Switches
    ) -> Strays:
        """The flows and groups of a chain that should not exist.

        Args:
            ours: The layouts that the chain has or has had.
            others: The layouts of other chains, whose flows and groups do not count.
            switches: The flows and groups of each node.
        """
        ours, others = tuple(ours), tuple(others)
        macs = {mac for layout in ours for mac in layout.macs}
        numbers = {number for layout in ours for number in layout.numbers}
        numbers -= {number for layout in others for number in layout.numbers}
        left = Strays()
        for node, switch in switches.items():
            left.flows[node] = [
                flow
                for flow in switch.flows
                if not any(each.is_met_by(node, flow) for each in self.flows)
                and any(belongs(flow, layout, others) for layout in ours)
            ]
            left.groups[node] = [
                number
                for number in sorted(numbers & switch.groups.keys())
                if (node, number) not in self.groups and switch.groups[number].leads_to() & macs
            ]
        return left


@dataclass
class Strays:
    """Surplus flows, and surplus groups by their numbers, on each node."""

    flows: dict[str, list[Flow]] = field(default_factory=dict)
    groups: dict[str, list[int]] = field(default_factory=dict)

    def told(self) -> list[str]:
        """The flows and groups as text."""
        found = [f"{node}: {flow}" for node, flows in self.flows.items() for flow in flows]
        found += [f"{node}: group {n}" for node, numbers in self.groups.items() for n in numbers]
        return found


def plan(layout: ChainLayout) -> Plan:
    """The flows and groups that a chain needs."""
    made = Plan()
    for back in (False, True) if layout.symmetric else (False,):
        steps = [
            (group, members)
            for group, members in zip(layout.groups, layout.members, strict=True)
            if not group.tap
        ]
        if back:
            steps.reverse()
        _plan_one_way(made, layout, steps, back=back)
    _plan_taps(made, layout)
    made.flows = without_rivals(made.flows)
    return made


def without_rivals(flows: Sequence[Wanted]) -> list[Wanted]:
    """Join wanted flows with the same match: one of them can exist, with the actions of either.

    This happens in a symmetric chain for both directions: the packets of one direction are the
    answers of the other.
    """
    by_match: dict[tuple[object, ...], list[Wanted]] = {}
    for each in flows:
        key = (each.node, each.table, each.priority, tuple(sorted(each.match.items())))
        by_match.setdefault(key, []).append(each)
    return [
        first if all(each.actions == first.actions for each in rest) else replace(first, actions=())
        for first, *rest in by_match.values()
    ]


def last_hops(layout: ChainLayout) -> set[str]:
    """The MAC addresses from which packets of the first traffic may arrive through the chain.

    If a symmetric chain is for both directions, packets of one direction may take the path of the
    other's answers: see `without_rivals`.
    """
    steps = [m for g, m in zip(layout.groups, layout.members, strict=True) if m and not g.tap]
    if not steps or not layout.traffic:
        return set()
    first, *others = layout.traffic
    found = {leaving(function, back=False).mac for function in steps[-1]}
    if layout.symmetric and any((t.src, t.dst) == (first.dst, first.src) for t in others):
        found |= {leaving(function, back=True).mac for function in steps[0]}
    return found


def _plan_one_way(
    made: Plan,
    layout: ChainLayout,
    steps: Sequence[tuple[Group, Sequence[Function]]],
    *,
    back: bool,
) -> None:
    for at in range(len(steps) + 1):
        senders = _senders(layout, steps, at, back=back)
        follows = steps[at] if at < len(steps) else None
        number = follows[0].number + (REVERSE if back else 0) if follows else 0
        for name, node, match in senders:
            action = (f"group:{number}",) if follows else ("NORMAL",)
            where = "back" if back else "on"
            why = f"{name} goes {where}, on {node}"
            made.flows.append(Wanted(node, why, CLASSIFY, CLASSIFY_PRIORITY, match, action))
        if follows is None:
            continue
        entries = [entry(function, back=back) for function in follows[1]]
        for node in dict.fromkeys(node for _, node, _ in senders):
            made.groups[node, number] = {port.mac for port in entries}
            for function, port in zip(follows[1], entries, strict=True):
                why = f"the way to {function.name} from {node}"
                made.flows.append(Wanted(node, why, ACROSS, 0, {"dl_dst": port.mac}))
        for function, port in zip(follows[1], entries, strict=True):
            why = f"delivery to {function.name} on {function.node}"
            match = {"dl_dst": port.mac, **layout.mark(at)}
            made.flows.append(
                Wanted(function.node, why, INGRESS, 1, match, (f"output:{port.device}",))
            )


def _plan_taps(made: Plan, layout: ChainLayout) -> None:
    """Plan the copies for taps: table 7 at the sender, and delivery by the sender's MAC address."""
    plain = sum(not group.tap for group in layout.groups)
    # The numbers of taps follow those of the source, all other steps and the target.
    label = layout.label(plain + 2)
    senders = [(t.src.name, t.src.node, t.src.ports[0]) for t in layout.traffic]
    for group, members in zip(layout.groups, layout.members, strict=True):
        if not group.tap:
            senders = [(f.name, f.node, leaving(f, back=False)) for f in members]
            continue
        for name, node, port in senders:
            match = {"in_port": port.device, "dl_src": port.mac}
            copied = (f"{LABEL}{label}",)
            made.flows.append(Wanted(node, f"copies of {name} on {node}", TAP, 0, match, copied))
            for tap in members:
                match = {"dl_src": port.mac, "mpls_label": str(label)}
                why = f"copies for {tap.name} on {tap.node}"
                delivered = (f"output:{tap.ingress.device}",)
                made.flows.append(Wanted(tap.node, why, INGRESS, 1, match, delivered))
        label += 1


def _senders(
    layout: ChainLayout, steps: Sequence[tuple[Group, Sequence[Function]]], at: int, *, back: bool
) -> list[tuple[str, str, dict[str, str]]]:
    """The senders of packets to a step: name, node, and the match of their flow."""
    if at == 0:
        found = []
        for traffic in layout.traffic:
            probe = traffic.dst if back else traffic.src
            match = {"in_port": probe.device, **addresses(traffic, back=back)}
            found.append((f"{probe.name} classified", probe.node, match))
        return found
    found = []
    for function in steps[at - 1][1]:
        device = leaving(function, back=back).device
        if function.keeps:
            match = {"in_port": device, **layout.mark(at)}
            found.append((function.name, function.node, match))
            continue
        for traffic in layout.traffic:
            match = {"in_port": device, **addresses(traffic, back=back)}
            found.append((function.name, function.node, match))
    return found


def entry(function: Function, *, back: bool) -> Port:
    """The port at which packets arrive at a function."""
    return function.egress if back else function.ingress


def leaving(function: Function, *, back: bool) -> Port:
    """The port by which packets leave a function."""
    return entry(function, back=not back)


def addresses(traffic: Traffic, *, back: bool) -> dict[str, str]:
    """The match of a flow on the traffic, or with `back` on its answers."""
    src, dst = (traffic.dst, traffic.src) if back else (traffic.src, traffic.dst)
    match = {"nw_src": src.ip, "nw_dst": dst.ip}
    if traffic.anywhere:
        del match["nw_src" if back else "nw_dst"]
    if traffic.protocol is not None:
        match[traffic.protocol] = ""
    if traffic.port is not None:
        match["tp_src" if back else "tp_dst"] = str(traffic.port)
    return match


def belongs(flow: Flow, layout: ChainLayout, others: Iterable[ChainLayout]) -> bool:
    """Whether a flow belongs to a chain and is not needed by another one."""
    if flow.table == ACROSS:
        address = flow.match.get("dl_dst")
        return address in layout.macs and not _is_shared(address, others)
    # Numbers are reused, also by chains of other projects, so the address must match as well.
    named = {flow.match.get(name) for name in ("dl_dst", "dl_src", "in_port")}
    if number_of(flow) == layout.number and named & (
        layout.macs | _ends(layout) | _devices(layout)
    ):
        return True
    if flow.match.get("in_port") not in _devices(layout):
        return False
    if flow.table == TAP:
        return True
    matches = [addresses(t, back=back) for t in layout.traffic for back in (False, True)]
    pairs = {(match.get("nw_src", ""), match.get("nw_dst", "")) for match in matches}
    here = (flow.match.get("nw_src", ""), flow.match.get("nw_dst", ""))
    if (flow.table, flow.priority) != (CLASSIFY, CLASSIFY_PRIORITY) or here not in pairs:
        return False
    return not any(
        flow.match.items() >= addresses(traffic, back=back).items()
        and flow.match.get("in_port") in _devices(other)
        for other in others
        for traffic in other.traffic
        for back in ((False, True) if other.symmetric else (False,))
    )


def number_of(flow: Flow) -> int | None:
    """The number of the chain in a flow's label or service path, or None."""
    if "nsh_spi" in flow.match:
        return int(flow.match["nsh_spi"], 0)
    if "mpls_label" in flow.match:
        return int(flow.match["mpls_label"], 0) >> INDEX_BITS
    for action in flow.actions:
        if action.startswith(LABEL):
            return int(action.removeprefix(LABEL), 0) >> INDEX_BITS
    return None


def stray(switches: Switches, macs: set[str]) -> list[str]:
    """Flows that push a label for one of the MAC addresses although no flow delivers that label."""
    delivered = {
        (flow.match.get("dl_dst"), flow.match.get("mpls_label"))
        for switch in switches.values()
        for flow in switch.flows.where(table=INGRESS)
    }
    return [
        f"{node}: {flow}"
        for node, switch in switches.items()
        for flow in switch.flows.where(table=ACROSS)
        for action in flow.actions
        if action.startswith(LABEL)
        and flow.match.get("dl_dst") in macs
        and (flow.match.get("dl_dst"), action.removeprefix(LABEL)) not in delivered
    ]


def classifying(flows: Flows, device: str, traffic: Iterable[Traffic], *, back: bool) -> int:
    """The packets of a traffic from a device that flows of table 0 have classified."""
    return sum(
        flows.where(
            table=CLASSIFY,
            priority=CLASSIFY_PRIORITY,
            in_port=device,
            **addresses(each, back=back),
        ).packets
        for each in traffic
    )


def _is_shared(address: str | None, others: Iterable[ChainLayout]) -> bool:
    return any(address in other.macs for other in others)


def _ends(layout: ChainLayout) -> set[str]:
    return {end.mac for t in layout.traffic for end in (t.src, t.dst)}


def _devices(layout: ChainLayout) -> set[str]:
    devices = {port.device for function in layout.functions for port in function.ports}
    return devices | {end.device for t in layout.traffic for end in (t.src, t.dst)}
