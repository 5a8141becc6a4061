"""The switch: what a node's tables do with a packet, and which part of OVN is behind each flow.

Parsed from the output of `ovs-appctl ofproto/trace` after it went through ovn-detrace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pytest_kollalab.sdn.ovs.flows import split_outside

STEP = re.compile(r"\s*(?P<table>\d+)\. (?P<rest>.*)$")
RULE = re.compile(
    r"(?:(?P<match>.*?)(?:, |^))?priority (?P<priority>\d+)(?:, cookie (?P<cookie>0x[0-9a-f]+))?$"
)
LOGICAL = re.compile(
    r"\* Logical flow: table=(?P<table>\d+) \((?P<stage>\w+)\), priority=(?P<priority>\d+), "
    r"match=\((?P<match>.*)\), actions=\((?P<actions>.*)\)$"
)
DATAPATH = re.compile(r'\* +(?:Logical datapath: )?"(?P<name>[^"]+)" \([0-9a-f-]+\)')
BINDING = re.compile(
    r'\* Port Binding: logical_port "(?P<port>[^"]*)", tunnel_key (?P<key>\d+), '
    r'chassis-name "(?P<chassis>[^"]*)"'
)
INTERFACE = re.compile(r"\* OVS Interface: (?P<name>\S+) \(")
# What the datapath does with a packet that goes on: to a port, a tunnel, or ovn-controller.
GOES = re.compile(r"\d+$|(?:clone\()?tnl_push\(|userspace\(")
DATAPATH_ACTIONS = re.compile(r"Datapath actions: (?P<actions>.*)$")


@dataclass(frozen=True)
class SwitchStep:
    """A flow of a switch that a packet met, with what is behind it in OVN.

    Attributes:
        table: The number of the table.
        match: What the flow matches; empty for everything.
        priority: Its priority; None if no flow matched.
        cookie: Its cookie.
        actions: What it does, in order.
        stage: The stage of the logical flow behind it, such as `ls_in_l2_lkup`; empty if it is not
            made from a logical flow.
        logical_match: What the logical flow matches.
        datapaths: The logical switches and routers that it is for.
        port: The logical port that it is for, if there is one.
        chassis: The chassis of that port.
        interface: The interface of Open vSwitch that it is for, if there is one.
    """

    table: int
    match: str
    priority: int | None
    cookie: str
    actions: tuple[str, ...]
    stage: str = ""
    logical_match: str = ""
    datapaths: tuple[str, ...] = ()
    port: str = ""
    chassis: str = ""
    interface: str = ""

    def __str__(self) -> str:
        behind = [self.stage, *(f"{k} {v}" for k, v in self._behind if v)]
        rule = f"{self.match}, priority {self.priority}" if self.match else "everything"
        rule = "no flow" if self.priority is None else rule
        return f"{self.table}. {rule} [{', '.join(filter(None, behind))}]"

    @property
    def _behind(self) -> tuple[tuple[str, str], ...]:
        return ("port", self.port), ("chassis", self.chassis), ("interface", self.interface)


@dataclass(frozen=True)
class SwitchTrace:
    """What the tables of a node do with a packet.

    Attributes:
        node: The node.
        steps: The flows that it met, in order, also behind connection tracking.
        datapath_actions: What the datapath does in the end, once for each pass.
        text: The whole output.
    """

    node: str
    steps: tuple[SwitchStep, ...]
    datapath_actions: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        last = self.datapath_actions[-1] if self.datapath_actions else "nothing"
        return "\n".join([f"on {self.node}:", *map(str, self.steps), f"in the end: {last}"])

    @property
    def is_dropped(self) -> bool:
        """Whether the packet goes nowhere: neither out of a port nor to ovn-controller."""
        parts = (part for text in self.datapath_actions for part in split_outside(text))
        return not any(GOES.match(part) for part in parts)

    @property
    def stages(self) -> tuple[str, ...]:
        """The stages of the logical flows on the way."""
        return tuple(step.stage for step in self.steps if step.stage)

    @property
    def leads_to(self) -> tuple[tuple[str, str], ...]:
        """The logical ports at the end of the way, each with its chassis.

        A port on another chassis is behind a tunnel: there its tables go on.
        """
        found = [
            (step.port, step.chassis)
            for step in self.steps
            if step.port and any(a.startswith("output:") for a in step.actions)
        ]
        return tuple(dict.fromkeys(found))

    def at(self, stage: str) -> tuple[SwitchStep, ...]:
        """The steps with a logical flow of a stage behind them."""
        return tuple(step for step in self.steps if step.stage == stage)


def parse_explained(node: str, text: str, device: str) -> SwitchTrace:
    """Parse the output of ovn-detrace for a trace on a node.

    Args:
        node: The node.
        text: The output.
        device: The interface that the packet comes in by.
    """
    actions = (found["actions"] for line in text.splitlines()
               if (found := DATAPATH_ACTIONS.match(line)) is not None)  # fmt: skip
    steps = tuple(_steps(text.splitlines()))
    # OVN 25.03 names the interface whose number is the last digit of the one in the match.
    told = (s if "in_port=" not in s.match else replace(s, interface="") for s in steps[1:])
    first = (replace(s, interface=device) for s in steps[:1])
    return SwitchTrace(node, (*first, *told), tuple(actions), text)


def _steps(lines: Iterable[str]) -> Iterator[SwitchStep]:
    block: list[str] = []
    for line in lines:
        begins = STEP.match(line)
        if begins is not None or not line.strip():
            if block:
                yield _step(block)
            block = [line] if begins is not None else []
        elif block:
            block.append(line)
    if block:
        yield _step(block)


def _step(block: list[str]) -> SwitchStep:
    head = STEP.match(block[0])
    assert head is not None
    rule = RULE.match(head["rest"])
    notes = [line.strip() for line in block[1:] if line.lstrip().startswith("*")]
    actions = [line.strip() for line in block[1:] if not line.lstrip().startswith(("*", "->", ">"))]
    logical = _first(LOGICAL, notes)
    binding, interface = _first(BINDING, notes), _first(INTERFACE, notes)
    return SwitchStep(
        table=int(head["table"]),
        match=(rule["match"] or "") if rule is not None else "",
        priority=int(rule["priority"]) if rule is not None else None,
        cookie=(rule["cookie"] or "") if rule is not None else "",
        actions=tuple(actions),
        stage=logical["stage"] if logical is not None else "",
        logical_match=logical["match"] if logical is not None else "",
        datapaths=tuple(found["name"] for note in notes if (found := DATAPATH.match(note))),
        port=binding["port"] if binding is not None else "",
        chassis=binding["chassis"] if binding is not None else "",
        interface=interface["name"] if interface is not None else "",
    )


def _first(pattern: re.Pattern[str], notes: Iterable[str]) -> re.Match[str] | None:
    return next((found for note in notes if (found := pattern.match(note)) is not None), None)
