"""Flows and groups of Open vSwitch, parsed from the output of ovs-ofctl."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

VSWITCHD = "openvswitch_vswitchd"
# The newest version that Neutron enables on its bridges.
OPENFLOW = "OpenFlow13"

# OXM names of fields, and the older names of ovs-ofctl that are used here instead.
FIELDS = {
    "eth_src": "dl_src",
    "eth_dst": "dl_dst",
    "eth_type": "dl_type",
    "vlan_vid": "dl_vlan",
    "ip_src": "nw_src",
    "ip_dst": "nw_dst",
    "ipv4_src": "nw_src",
    "ipv4_dst": "nw_dst",
    "ip_proto": "nw_proto",
    "tcp_src": "tp_src",
    "tcp_dst": "tp_dst",
    "udp_src": "tp_src",
    "udp_dst": "tp_dst",
    "tunnel_id": "tun_id",
}
# Ethernet types and IP protocols, and the flags of ovs-ofctl that stand for them.
TYPES = {"0x0800": "ip", "0x800": "ip", "0x0806": "arp", "0x806": "arp", "0x8847": "mpls"}
PROTOCOLS = {"1": "icmp", "6": "tcp", "17": "udp"}
OF_VLAN_PRESENT = 0x1000
COUNTERS = (
    "n_packets",
    "n_bytes",
    "duration",
    "idle_age",
    "hard_age",
    "reset_counts",
    "send_flow_rem",
)


@dataclass(frozen=True)
class Flow:
    """A flow.

    Fields and actions have one spelling, whatever ovs-ofctl printed: `dl_dst` for `eth_dst`,
    `set dl_dst=X` for `mod_dl_dst:X` and `set_field:X->eth_dst`. Two flows are equal if their
    tables, priorities, matches and actions are equal.

    Attributes:
        table: The number of the table.
        priority: The priority.
        match: The values of fields by name; flags such as `ip` have an empty value.
        actions: The actions, in order.
        packets: The number of packets since the flow was created.
        bytes: The number of bytes since the flow was created.
        cookie: The cookie.
    """

    table: int
    priority: int
    match: Mapping[str, str]
    actions: tuple[str, ...]
    packets: int = field(default=0, compare=False)
    bytes: int = field(default=0, compare=False)
    cookie: int = field(default=0, compare=False)

    def __hash__(self) -> int:
        return hash((self.place, self.actions))

    def __str__(self) -> str:
        return f"{self.rule} ({self.packets} packets)"

    @property
    def rule(self) -> str:
        """The flow as text, without its counters."""
        return f"{self.matching} actions={','.join(self.actions)}"

    @property
    def matching(self) -> str:
        """Table, priority and match in the syntax of ovs-ofctl."""
        matched = [k if v == "" else f"{k}={v}" for k, v in sorted(self.match.items())]
        return ",".join([f"table={self.table}", f"priority={self.priority}", *matched])

    @property
    def place(self) -> tuple[int, int, frozenset[tuple[str, str]]]:
        """What makes it one flow of its bridge: table, priority and match."""
        return (self.table, self.priority, frozenset(self.match.items()))

    def does(self, action: str) -> bool:
        """Whether the flow has this action, in any spelling."""
        return normal_action(action) in self.actions


@dataclass(frozen=True)
class Bucket:
    """A bucket of a group: its weight, its actions, and the number of packets that took it."""

    weight: int
    actions: tuple[str, ...]
    packets: int = field(default=0, compare=False)


@dataclass(frozen=True)
class OpenFlowGroup:
    """A group: its buckets in order, and the number of packets that passed it."""

    id: int
    type: str
    buckets: tuple[Bucket, ...]
    packets: int = field(default=0, compare=False)

    def since(self, before: OpenFlowGroup) -> OpenFlowGroup:
        """The group with the packets counted since `before`.

        Open vSwitch resets the counters of a group whose buckets change, so it counts in full.
        """
        same = [b.actions for b in self.buckets] == [b.actions for b in before.buckets]
        if not same or self.packets < before.packets:
            return self
        buckets = tuple(
            replace(now, packets=now.packets - then.packets)
            for now, then in zip(self.buckets, before.buckets, strict=True)
        )
        return replace(self, buckets=buckets, packets=self.packets - before.packets)

    def leads_to(self) -> set[str]:
        """The MAC addresses that its buckets set as destinations."""
        return {
            action.removeprefix("set dl_dst=")
            for bucket in self.buckets
            for action in bucket.actions
            if action.startswith("set dl_dst=")
        }


class Flows(Sequence[Flow]):
    """The flows of one bridge at one moment."""

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._flows = tuple(flows)

    @overload
    def __getitem__(self, index: int) -> Flow: ...
    @overload
    def __getitem__(self, index: slice) -> Flows: ...
    def __getitem__(self, index: int | slice) -> Flow | Flows:
        return Flows(self._flows[index]) if isinstance(index, slice) else self._flows[index]

    def __len__(self) -> int:
        return len(self._flows)

    def __iter__(self) -> Iterator[Flow]:
        return iter(self._flows)

    def __repr__(self) -> str:
        return "Flows(\n" + "".join(f"  {flow}\n" for flow in self._flows) + ")"

    @property
    def packets(self) -> int:
        """The sum of the packets of all flows."""
        return sum(flow.packets for flow in self._flows)

    def where(
        self,
        *flags: str,
        table: int | None = None,
        priority: int | None = None,
        action: str | None = None,
        **fields: str | int,
    ) -> Flows:
        """Select flows.

        Args:
            *flags: Flags that the match must have, such as `mpls`.
            table: The number of the table.
            priority: The priority.
            action: An action that the flow must have, in any spelling.
            **fields: Values of fields that the match must have, in any spelling.
        """
        wanted = normal_match(
            {**dict.fromkeys(flags, ""), **{k: str(v) for k, v in fields.items()}}
        )
        return Flows(
            flow
            for flow in self._flows
            if (table is None or flow.table == table)
            and (priority is None or flow.priority == priority)
            and (action is None or flow.does(action))
            and all(flow.match.get(name) == value for name, value in wanted.items())
        )

    def since(self, before: Flows) -> Flows:
        """The flows with the packets and bytes counted since `before`; new flows count in full.

        A flow is known by its table, priority and match: in OpenFlow 1.3 its counters go on if its
        actions or its cookie change. A flow with fewer packets than before was made again.
        """
        earlier = {flow.place: flow for flow in before}
        return Flows(_since(flow, earlier.get(flow.place)) for flow in self._flows)

    def without(self, others: Flows) -> Flows:
        """The flows that are not among the others; counters do not matter."""
        known = set(others)
        return Flows(flow for flow in self._flows if flow not in known)


@dataclass(frozen=True)
class Switch:
    """The flows and the groups of one bridge at one moment."""

    flows: Flows
    groups: Mapping[int, OpenFlowGroup]

    def since(self, before: Switch) -> Switch:
        """The flows and groups with the packets counted since `before`."""
        return Switch(
            self.flows.since(before.flows),
            {
                number: group.since(before.groups[number]) if number in before.groups else group
                for number, group in self.groups.items()
            },
        )


# Enters the container's mount namespace, which takes a quarter of the time of `docker exec`.
ENTER = 'nsenter --mount --target "$(pgrep -xo ovs-vswitchd)"'
LOOK = f"""
{ENTER} sh -euc '
    [ "$2" = no ] || ovs-appctl revalidator/wait
    ovs-ofctl -O "$1" --names dump-flows "$0"
    echo ----
    ovs-ofctl -O "$1" --names dump-groups "$0"
    echo ----
    ovs-ofctl -O "$1" dump-group-stats "$0"' "$1" "$2" "$3"
"""


def look(ssh: Ssh, node: str, bridge: str = "br-int", *, settled: bool = False) -> Switch:
    """Read the flows and groups of a bridge with one command.

    Args:
        ssh: Runs the command.
        node: The node.
        bridge: The bridge.
        settled: Whether all packets before the call must be counted. Otherwise counters may lag
            behind by half a second.
    """
    words = (bridge, OPENFLOW, "settled" if settled else "no")
    said = ssh.run(node, ["sh", "-eu", "-s", "--", *words], input=LOOK).stdout
    flows, groups, stats = said.split("----\n")
    return Switch(parse_flows(flows), parse_groups(groups, stats))


def remove(ssh: Ssh, node: str, flows: Iterable[Flow], groups: Iterable[int]) -> None:
    """Remove flows, and groups by their numbers, from br-int."""
    lines = [f"ovs-ofctl -O {OPENFLOW} --strict del-flows br-int {f.matching}" for f in flows]
    lines += [f"ovs-ofctl -O {OPENFLOW} del-groups br-int group_id={n}" for n in groups]
    ssh.run(
        node, ["sh", "-eu", "-s"], input=f"{ENTER} sh -eu << 'END'\n" + "\n".join(lines) + "\nEND\n"
    )


def bridge_flows(ssh: Ssh, node: str, bridge: str = "br-int", *, settled: bool = False) -> Flows:
    """Read the flows of a bridge; ports are given by name.

    Args:
        ssh: Runs the command.
        node: The node.
        bridge: The bridge.
        settled: Whether all packets before the call must be counted. Otherwise counters may lag
            behind by half a second.
    """
    if settled:
        ssh.run(node, ["docker", "exec", VSWITCHD, "ovs-appctl", "revalidator/wait"])
    return parse_flows(_ofctl(ssh, node, "--names", "dump-flows", bridge))


def bridge_groups(ssh: Ssh, node: str, bridge: str = "br-int") -> dict[int, OpenFlowGroup]:
    """Read the groups of a bridge, with their counters, by their numbers."""
    groups = _ofctl(ssh, node, "--names", "dump-groups", bridge)
    return parse_groups(groups, _ofctl(ssh, node, "dump-group-stats", bridge))


def parse_flows(text: str) -> Flows:
    """Parse the output of `ovs-ofctl dump-flows`."""
    return Flows(_parse_flow(line.strip()) for line in text.splitlines() if "actions=" in line)


def parse_groups(text: str, stats: str = "") -> dict[int, OpenFlowGroup]:
    """Parse the output of `ovs-ofctl dump-groups` and, if given, of `dump-group-stats`."""
    counted = {
        int(match[1]): line
        for line in stats.splitlines()
        if (match := re.search(r"group_id=(\d+)", line))
    }
    groups = {}
    for line in text.splitlines():
        match = re.search(r"group_id=(\d+),type=(\w+)", line)
        if match is None:
            continue
        number = int(match[1])
        said = counted.get(number, "")
        total = re.search(r"(?<!:)packet_count=(\d+)", said)
        buckets = tuple(
            _parse_bucket(part, index, said) for index, part in enumerate(line.split("bucket=")[1:])
        )
        groups[number] = OpenFlowGroup(number, match[2], buckets, int(total[1]) if total else 0)
    return groups


def normal_match(fields: Mapping[str, str]) -> dict[str, str]:
    """A match with the normal spelling of each field."""
    match = {}
    for name, value in fields.items():
        known = FIELDS.get(name, name)
        if known == "dl_type" and value in TYPES:
            match[TYPES[value]] = ""
        elif known == "nw_proto" and value in PROTOCOLS:
            match[PROTOCOLS[value]] = ""
        elif name == "vlan_vid":
            match[known] = str(int(value.split("/")[0], 0) & ~OF_VLAN_PRESENT)
        else:
            match[known] = value
    return match


def normal_action(action: str) -> str:
    """An action in its normal spelling: `set x=V` for `mod_x:V`, `set_x:V` and `set_field:V->x`."""
    action = action.strip()
    if found := re.fullmatch(r"set_field:(.+)->(\w+)", action):
        value, name = found[1], found[2]
    elif found := re.fullmatch(r"(?:mod|set)_(\w+?)(?::|\()([^()]+)\)?", action):
        name, value = found[1], found[2]
        if name in ("nw_ttl", "mpls_ttl", "mpls_label", "mpls_tc", "queue"):
            pass
        elif name == "vlan_vid":
            return f"set dl_vlan={int(value, 0)}"
    else:
        return "strip_vlan" if action == "pop_vlan" else action.replace(" ", "")
    if name == "vlan_vid":
        return f"set dl_vlan={int(value, 0) & ~OF_VLAN_PRESENT}"
    return f"set {FIELDS.get(name, name)}={value}"


def split_outside(text: str, separator: str = ",") -> list[str]:
    """Split at separators that are outside of parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _since(now: Flow, then: Flow | None) -> Flow:
    if then is None or now.packets < then.packets:
        return now
    return replace(now, packets=now.packets - then.packets, bytes=now.bytes - then.bytes)


def _ofctl(ssh: Ssh, node: str, *words: str) -> str:
    argv = ["docker", "exec", VSWITCHD, "ovs-ofctl", "-O", OPENFLOW]
    return ssh.run(node, [*argv, *words]).stdout


def _parse_flow(line: str) -> Flow:
    head, _, actions = line.partition("actions=")
    values: dict[str, str] = {}
    for part in split_outside(head.replace(" ", ",")):
        name, _, value = part.partition("=")
        values[name] = value.strip('"')
    return Flow(
        table=int(values.pop("table", "0")),
        priority=int(values.pop("priority", "32768")),
        cookie=int(values.pop("cookie", "0"), 0),
        packets=int(values.pop("n_packets", "0")),
        bytes=int(values.pop("n_bytes", "0")),
        match=normal_match({k: v for k, v in values.items() if k not in COUNTERS}),
        actions=_parse_actions(actions),
    )


def _parse_actions(text: str) -> tuple[str, ...]:
    return tuple(normal_action(part.replace('"', "")) for part in split_outside(text))


def _parse_bucket(text: str, index: int, stats: str) -> Bucket:
    head, _, actions = text.rstrip(",").partition("actions=")
    weight = re.search(r"weight:(\d+)", head)
    counted = re.search(rf"bucket{index}:packet_count=(\d+)", stats)
    return Bucket(
        weight=int(weight[1]) if weight else 1,
        actions=_parse_actions(actions),
        packets=int(counted[1]) if counted else 0,
    )
