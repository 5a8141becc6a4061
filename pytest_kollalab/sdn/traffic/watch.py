"""The word `watch`: runs streams of packets while a block runs, and tells what happened to them."""

from __future__ import annotations

import base64
import json
import secrets
import time
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn import figures, on_nodes
from pytest_kollalab.sdn.capture.watch import ROOT
from pytest_kollalab.sdn.probe.namespace import Background, NodeItself
from pytest_kollalab.sdn.probe.probe import Probe
from pytest_kollalab.sdn.tenant.network import Target
from pytest_kollalab.sdn.traffic.analysis import Recorded, StreamResult, analyse
from pytest_kollalab.sdn.traffic.happenings import Happening, told
from pytest_kollalab.sdn.traffic.seen import SeenTraffic
from pytest_kollalab.sdn.traffic.stream import Crossed, TrafficStream, stream
from pytest_kollalab.system import wait
from pytest_kollalab.system.errors import ConfigError, KollalabError
from pytest_kollalab.system.wait import NotYet

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

INTERVAL = 0.02
FIRST_PORT = 9701
# Seconds for packets that are on the way when no more are sent. TCP waits longer to send again.
LINGER, LINGER_TCP = 1.0, 3.0
# How often a node's clock is asked; the quickest answer counts.
ASKED = 3
# The bridges whose flow tables are followed, where a node has them.
BRIDGES = ("br-int", "br-tun", "br-mpls", "br-ex")
# Seconds that a source of happenings is asked about beyond the block.
MARGIN = 2.0

# Asked for what happened in a span of time: seconds since 1970.
HappeningSource = Callable[[float, float], Iterable[Happening]]


@dataclass
class NodeTraffic:
    """The program of one node: what it is to do, and its answers.

    Attributes:
        host: The node, where the program runs.
        plan: What it sends, receives and captures.
        epoch: When its monotonic clock was 0, in seconds since 1970 of this host's clock.
        doubt: By how many seconds that may be wrong.
    """

    host: NodeItself
    plan: dict[str, Any]
    running: Background | None = None
    epoch: float = 0.0
    doubt: float = field(default=0.0)

    @contextmanager
    def started(self) -> Iterator[None]:
        """Run the program until the block ends."""
        argv = ["python3", "-u", "traffic.py", "plan.json"]
        files = {"traffic.py": on_nodes.source("traffic"), "plan.json": json.dumps(self.plan)}
        with self.host.background("traffic", argv, ready="^ready", files=files) as running:
            self.running = running
            yield

    def ask(self, word: str) -> Any:
        """Ask the program; raises KollalabError if it cannot answer."""
        assert self.running is not None
        text = 'cd "$1" && echo "$2" | socat -t 60 - UNIX-CONNECT:socket'
        answer = json.loads(self.host.script(text, self.running.folder, word).stdout)
        if "error" in answer:
            raise KollalabError(
                f"the traffic of {self.host.node} could not {word}", details=answer["error"]
            )
        return answer

    def set_clock(self) -> None:
        """Find out when its monotonic clock was 0."""
        best = None
        for _ in range(ASKED):
            asked = time.time()
            clock = self.ask("clock")
            answered = time.time()
            if best is None or answered - asked < best[0]:
                best = (answered - asked, asked, answered, clock)
        assert best is not None
        self.epoch, self.doubt = epoch(*best[1:])


def epoch(asked: float, answered: float, clock: Mapping[str, int]) -> tuple[float, float]:
    """When a node's monotonic clock was 0, by this host's clock, and how wrong that may be.

    If the node's time lies between question and answer, its clock is taken for right: the
    difference may be due to a slow connection.

    Args:
        asked: When it was asked, in seconds since 1970.
        answered: When it had answered.
        clock: What it answered: its clocks `monotonic` and `real`, in nanoseconds.
    """
    real = clock["real"] / 1e9
    ahead = 0.0 if asked <= real <= answered else real - (asked + answered) / 2
    return real - ahead - clock["monotonic"] / 1e9, (answered - asked) / 2


class TrafficWatch:
    """Watches streams of packets: `with watch(watch.ping(a, b), watch.udp(a, b)) as seen:`.

    The fixture `watch` is one.

    Args:
        ssh: Runs commands on the nodes.
        nodes: The nodes whose docker and flow tables are followed.
        name: A name for files on the nodes.
        patience: The factor by which deadlines are multiplied on slow nodes.
        sources: Further sources of what happened.
    """

    def __init__(
        self,
        ssh: Ssh,
        nodes: Iterable[str],
        *,
        name: str = "watch",
        patience: float = 1.0,
        sources: Sequence[HappeningSource] = (),
    ) -> None:
        self.seen: list[SeenTraffic] = []
        self._ssh = ssh
        self._nodes = tuple(nodes)
        self._name = f"{name}-{secrets.token_hex(3)}"
        self._patience = patience
        self._sources = tuple(sources)

    def ping(
        self,
        src: Probe,
        dst: Target,
        *,
        through: Iterable[Crossed] = (),
        symmetric: bool = False,
        name: str | None = None,
    ) -> TrafficStream:
        """A stream of pings.

        Args:
            src: The probe that sends.
            dst: A probe, a server, or an address such as a floating IP.
            through: The functions that each ping must cross. Several in a list are one step, of
                which one must see it.
            symmetric: Whether answers must cross them as well.
            name: Its name.
        """
        return stream("ping", src, dst, through=through, symmetric=symmetric, name=name)

    def udp(
        self,
        src: Probe,
        dst: Probe,
        *,
        to: str | None = None,
        port: int = 0,
        through: Iterable[Crossed] = (),
        name: str | None = None,
    ) -> TrafficStream:
        """A stream of UDP packets, one way.

        Args:
            src: The probe that sends.
            dst: The probe that receives.
            to: The address that they are sent to, if it is not the probe's own: a floating IP.
            port: The port that they are sent to; by default one that no other stream of the watch
                has, from 9701 on.
            through: The functions that each packet must cross, as for `ping`.
            name: Its name.
        """
        return stream("udp", src, dst, to=to, port=port, through=through, name=name)

    def tcp(
        self,
        src: Probe,
        dst: Probe,
        *,
        to: str | None = None,
        port: int = 0,
        through: Iterable[Crossed] = (),
        name: str | None = None,
    ) -> TrafficStream:
        """A TCP connection with a small record at each interval; the arguments are as for `udp`.

        What TCP sends again arrives late, so a disturbance shows as a gap without loss that may be
        longer than the disturbance. A connection that breaks is made anew.
        """
        return stream("tcp", src, dst, to=to, port=port, through=through, name=name)

    @contextmanager
    def __call__(
        self, *streams: TrafficStream, interval: float = INTERVAL, within: float = 30
    ) -> Iterator[SeenTraffic]:
        """Run streams while the block runs, which begins when all of them flow.

        The longest gap of each stream is recorded as a figure, and the processor time.

        Args:
            *streams: The streams.
            interval: Seconds between the packets of each.
            within: Seconds until a packet of each stream has arrived.

        Yields:
            What is seen; complete when the block has ended.

        Raises:
            ConfigError: There is no stream.
            WaitError: A stream does not flow in time.
            KollalabError: A node cannot run its part.
        """
        if not streams:
            raise ConfigError("a watch without a stream", hint="give it one: watch.ping(a, b)")
        mark = secrets.token_hex(8)
        plans = node_plans(streams, self._nodes, mark, interval)
        nodes = {
            node: NodeTraffic(NodeItself(self._ssh, node, self._name), plan)
            for node, plan in plans.items()
        }
        with ExitStack() as undo:
            undo.callback(_remove_folders, nodes.values())
            for node in nodes.values():
                undo.enter_context(node.started())
            for node in nodes.values():
                node.set_clock()
            for node in nodes.values():
                node.ask("go")
            flow = _Flow(streams, nodes, self._patience)
            flow.again(within)
            first = flow.state()["sent"]
            seen = SeenTraffic(time.time(), interval, flow.again)
            self.seen.append(seen)
            try:
                yield seen
            finally:
                self._finish(seen, streams, nodes, first)

    def _finish(
        self,
        seen: SeenTraffic,
        streams: Sequence[TrafficStream],
        nodes: Mapping[str, NodeTraffic],
        first: Mapping[str, int],
    ) -> None:
        ended = time.time()
        for node in nodes.values():
            node.ask("cease")
        # Not a wait for a condition: packets that are lost never arrive.
        has_tcp = any(stream.kind == "tcp" for stream in streams)
        time.sleep((LINGER_TCP if has_tcp else LINGER) * self._patience)
        with ThreadPoolExecutor() as pool:
            taken = {name: pool.submit(node.ask, "take") for name, node in nodes.items()}
        answers = {name: job.result() for name, job in taken.items()}
        for name, answer in answers.items():
            seen.happenings += told(name, answer["happened"], nodes[name].epoch)
            seen.processor += answer["processor"] / answer["elapsed"]
        for source in self._sources:
            seen.happenings += source(seen.began - MARGIN, ended + MARGIN)
        seen.problems += problems(answers, nodes)
        seen.fill(results(streams, answers, nodes, first, seen.interval), ended)
        for result in seen.results.values():
            figures.record(f"longest gap: {result.name}", result.longest)
        what = f"watch of {len(streams)} streams: processor time of a minute"
        figures.record(what, seen.processor * 60)


class _Flow:
    """How far streams are."""

    def __init__(
        self, streams: Sequence[TrafficStream], nodes: Mapping[str, NodeTraffic], patience: float
    ) -> None:
        self._streams = streams
        self._nodes = nodes
        self._patience = patience

    def state(self) -> dict[str, dict[str, Any]]:
        """What has been sent and has arrived, by the number of the stream."""
        with ThreadPoolExecutor() as pool:
            answers = list(pool.map(lambda node: node.ask("state"), self._nodes.values()))
        return {
            word: {number: each for answer in answers for number, each in answer[word].items()}
            for word in ("sent", "newest", "errors")
        }

    def again(self, within: float) -> float:
        """Wait until a packet of each stream arrives that is sent from now on."""
        began = time.monotonic()
        before = self.state()["sent"]

        def look() -> bool | NotYet:
            now = self.state()
            missing = [
                f"{stream.name}: nothing of what is sent arrives{_because(now['errors'], number)}"
                for number, stream in _numbered(self._streams)
                if now["newest"].get(number, -1) < before.get(number, 0)
            ]
            return not missing or NotYet("\n".join(missing))

        wait.until("all streams to flow", look, timeout=within * self._patience, interval=0.2)
        return time.monotonic() - began


def _because(errors: Mapping[str, str], number: str) -> str:
    return f" ({errors[number]})" if number in errors else ""


def _numbered(streams: Iterable[TrafficStream]) -> Iterator[tuple[str, TrafficStream]]:
    for number, each in enumerate(streams):
        yield str(number), each


def node_plans(
    streams: Sequence[TrafficStream], nodes: Iterable[str], mark: str, interval: float
) -> dict[str, dict[str, Any]]:
    """What the program on each node is to do.

    Args:
        streams: The streams.
        nodes: The nodes whose docker and flow tables are followed.
        mark: Eight bytes that mark the packets of this watch, in hexadecimal.
        interval: Seconds between packets.
    """
    plans: dict[str, dict[str, Any]] = {}

    def plan(node: str) -> dict[str, Any]:
        empty: dict[str, Any] = {"send": [], "receive": [], "capture": []}
        told = {"docker": True, "bridges": BRIDGES}
        return plans.setdefault(node, {"mark": mark, "interval": interval, **told, **empty})

    for node in nodes:
        plan(node)
    places: dict[tuple[str, str], dict[str, Any]] = {}
    for number, each in enumerate(streams):
        port = each.port or FIRST_PORT + number
        sends = {"id": number, "kind": each.kind, "namespace": each.src.namespace.name}
        ends = {"source": each.src.ip, "address": each.to, "port": port}
        ident = int(mark[:4], 16) + number & 0xFFFF
        plan(each.src.node)["send"].append({**sends, **ends, "ident": ident})
        receiver = each.receiver
        if receiver is not None and each.kind != "ping":
            receives = {"id": number, "kind": each.kind, "port": port}
            place = {"namespace": receiver.namespace.name}
            plan(receiver.node)["receive"].append({**receives, **place})
        looked = [probe for step in each.through for probe in step]
        if each.kind == "ping" and each.through and receiver is not None:
            looked.append(receiver)
        for probe in looked:
            key = (probe.node, _place(probe))
            if key not in places:
                places[key] = _capture(probe)
                plan(probe.node)["capture"].append(places[key])
            if each.kind == "ping":
                places[key]["pings"].append(number)
    return plans


def _place(probe: Probe) -> str:
    """The name of a place of captures: unique on a node."""
    return " ".join(port.device for port in probe.ports)


def _capture(probe: Probe) -> dict[str, Any]:
    inside = probe.namespace.name == ROOT
    return {
        "place": _place(probe),
        "namespace": probe.namespace.name,
        # In a namespace of its own it looks at all devices, also those that come later.
        "devices": [port.device for port in probe.ports] if inside else [],
        "macs": [port.mac for port in probe.ports] if inside else [],
        "pings": [],
    }


def results(
    streams: Sequence[TrafficStream],
    answers: Mapping[str, Any],
    nodes: Mapping[str, NodeTraffic],
    first: Mapping[str, int],
    interval: float,
) -> dict[TrafficStream, StreamResult]:
    """The result of each stream, from what the programs on the nodes recorded."""
    found = {}
    names = unique([each.name for each in streams])
    for number, each in _numbered(streams):
        receiver = each.receiver
        there = each.src.node if each.kind == "ping" or receiver is None else receiver.node
        sent = answers[each.src.node]["sent"][number]
        arrived = answers[there]["arrived"][number]
        numbers = unpacked(arrived["numbers"], "I")

        def seen(probe: Probe, way: str, number: str = number) -> frozenset[int]:
            return _numbers(answers[probe.node]["places"], _place(probe), int(number), way)

        def of_step(step: Sequence[Probe], way: str) -> frozenset[int]:
            return frozenset[int]().union(*(seen(probe, way) for probe in step))

        is_looked_at = each.kind == "ping" and each.through and receiver is not None
        recorded = Recorded(
            unpacked(sent["times"], "q"),
            list(zip(numbers, unpacked(arrived["times"], "q"), strict=True)),
            first=first.get(number, 0),
            seen=[of_step(step, "in") for step in each.through],
            passed_on=[of_step(step, "out") for step in each.through],
            answered=[of_step(step, "back in") for step in each.through],
            got=seen(receiver, "in") if is_looked_at and receiver is not None else frozenset(),
            refused=sent["refused"],
            broken=sent["broken"],
        )
        found[each] = analyse(
            names[int(number)],
            each.kind,
            recorded,
            epoch=nodes[there].epoch,
            sent_epoch=nodes[each.src.node].epoch,
            interval=interval,
            steps=[" or ".join(probe.name for probe in step) for step in each.through],
            symmetric=each.symmetric,
        )
    return found


def unique(names: Sequence[str]) -> list[str]:
    """The names; one that was there before gets a number."""
    return [
        name if (times := names[:at].count(name)) == 0 else f"{name} #{times + 1}"
        for at, name in enumerate(names)
    ]


def problems(answers: Mapping[str, Any], nodes: Mapping[str, NodeTraffic]) -> list[str]:
    """What makes the results less certain."""
    found = []
    for node, answer in answers.items():
        for place in answer["places"]:
            if place["missed"]:
                missed = f"{place['missed']} frames at {place['place']}"
                found.append(f"{node} had no room for {missed}: too many count as bypassed")
            if place["blind"]:
                found.append(f"{node} could not look at {place['place']} for {place['blind']} s")
        if answer["skipped"]:
            found.append(f"{node} was too busy to send {answer['skipped']} times in time")
        if nodes[node].doubt > 1:
            doubt = f"{nodes[node].doubt:.1f} s"
            found.append(f"the clock of {node} is known to {doubt}: gaps may have wrong names")
    return found


def unpacked(text: str, kind: str) -> array[int]:
    """The numbers in a text of the program: `I` or `q`, as the module array names them."""
    numbers: array[int] = array(kind)
    numbers.frombytes(zlib.decompress(base64.b64decode(text)))
    return numbers


def _numbers(
    places: Iterable[Mapping[str, Any]], name: str, stream: int, way: str
) -> frozenset[int]:
    """The numbers of a stream's packets at a place, which must have been looked at."""
    (place,) = (each for each in places if each["place"] == name)
    return frozenset(
        number
        for each in place["seen"]
        if (each["id"], each["way"]) == (stream, way)
        for number in unpacked(each["numbers"], "I")
    )


def _remove_folders(nodes: Iterable[NodeTraffic]) -> None:
    for node in nodes:
        node.host.script('rm -rf "/run/kollalab/$1"', node.host.name)
