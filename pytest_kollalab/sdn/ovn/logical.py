"""The logical pipeline: what OVN would do with a packet, parsed from the output of ovn-trace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# The beginning of a section: a pipeline of a datapath, or the rest of it behind an action.
PIPELINE = re.compile(r'(?P<pipeline>ingress|egress)\(dp="(?P<datapath>[^"]*)"(?P<ports>[^)]*)\)')
PORT = re.compile(r'(inport|outport)="([^"]*)"')
STEP = re.compile(
    r"\s*(?P<table>\d+)\. (?P<stage>\w+)(?: \((?P<source>[^)]*)\))?: (?P<match>.*), "
    r"priority (?P<priority>\d+), uuid (?P<uuid>[0-9a-f]+)$"
)
OUTPUT = re.compile(r'/\* output to "(?P<port>[^"]*)", type "(?P<type>[^"]*)" \*/')
UNDERLINE = re.compile(r"\s*-{3,}\s*")
# Ports between datapaths.
INNER = ("patch", "l3gateway")


@dataclass(frozen=True)
class LogicalStep:
    """A logical flow that a packet met.

    Attributes:
        pipeline: `ingress` or `egress`.
        datapath: The logical switch or router, by its name in OVN.
        table: The number of the table in the pipeline.
        stage: What the table is for, such as `ls_out_acl_eval`.
        match: What the flow matches.
        priority: Its priority.
        uuid: The beginning of its identifier in the southbound database.
        actions: What it does, in order.
        outputs: The ports that it put the packet out of, each with its type; empty for a plain one.
    """

    pipeline: str
    datapath: str
    table: int
    stage: str
    match: str
    priority: int
    uuid: str
    actions: tuple[str, ...]
    outputs: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        done = " ".join(self.actions)
        return f"{self.datapath} {self.table}. {self.stage}: {self.match} -> {done}"


@dataclass(frozen=True)
class LogicalTrace:
    """What OVN would do with a packet.

    It is true when the packet leaves by at least one port.

    Attributes:
        flow: The packet, as OVN understood it.
        steps: The logical flows that it met, in order.
        text: The whole output.
    """

    flow: str
    steps: tuple[LogicalStep, ...]
    text: str

    def __bool__(self) -> bool:
        return bool(self.ports)

    def __str__(self) -> str:
        return "\n".join([self.flow, *map(str, self.steps), self.verdict])

    @property
    def ports(self) -> tuple[str, ...]:
        """The ports that the packet leaves by, each once. In Neutron's cloud their ids."""
        found = (port for step in self.steps for port, kind in step.outputs if kind not in INNER)
        return tuple(dict.fromkeys(found))

    @property
    def datapaths(self) -> tuple[str, ...]:
        """The logical switches and routers on the way, in order; `neutron-` and an id."""
        found: list[str] = []
        for step in self.steps:
            if not found or found[-1] != step.datapath:
                found.append(step.datapath)
        return tuple(found)

    @property
    def verdict(self) -> str:
        """What becomes of the packet, in a line."""
        if self.ports:
            return f"it leaves by {', '.join(self.ports)}"
        if not self.steps:
            return "it meets no logical flow"
        return f"it is dropped in {self.steps[-1].stage} of {self.steps[-1].datapath}"

    def does(self, action: str) -> bool:
        """Whether a flow on the way has an action that begins so, such as `ct_snat`."""
        return any(each.startswith(action) for step in self.steps for each in step.actions)

    def at(self, stage: str) -> tuple[LogicalStep, ...]:
        """The steps in a stage, such as `lr_out_snat`."""
        return tuple(step for step in self.steps if step.stage == stage)


def parse_trace(text: str) -> LogicalTrace:
    """Parse the output of `ovn-trace`, which may end anywhere in the pipeline."""
    lines = text.splitlines()
    flow = lines[0].removeprefix("# ") if lines and lines[0].startswith("#") else ""
    return LogicalTrace(flow, tuple(_steps(lines)), text)


def _steps(lines: list[str]) -> Iterator[LogicalStep]:
    pipeline = datapath = ""
    at = 0
    while at < len(lines):
        if (section := PIPELINE.search(lines[at])) is not None and _is_heading(lines, at):
            pipeline, datapath = section["pipeline"], section["datapath"]
        step = STEP.match(lines[at])
        at += 1
        if step is None:
            continue
        actions: list[str] = []
        outputs: list[tuple[str, str]] = []
        while at < len(lines) and lines[at].strip() and STEP.match(lines[at]) is None:
            if (output := OUTPUT.search(lines[at])) is not None:
                outputs.append((output["port"], output["type"]))
            elif not UNDERLINE.fullmatch(lines[at]):
                actions.append(lines[at].strip().removesuffix(";"))
            at += 1
        yield LogicalStep(
            pipeline,
            datapath,
            int(step["table"]),
            step["stage"],
            step["match"],
            int(step["priority"]),
            step["uuid"],
            tuple(actions),
            tuple(outputs),
        )


def _is_heading(lines: list[str], at: int) -> bool:
    return at + 1 < len(lines) and UNDERLINE.fullmatch(lines[at + 1]) is not None
