"""Skydive: topology, captures, packet injections and alerts through its analyzer's REST API."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pytest_kollalab.features import passwords
from pytest_kollalab.features.skydive.feature import PASSWORD, PORT, USER
from pytest_kollalab.features.skydive.graph import SkydiveGraph, parse_flows, parse_frames
from pytest_kollalab.sdn.capture.decode import decode
from pytest_kollalab.sdn.capture.packets import Packet
from pytest_kollalab.sdn.capture.recordings import RECORDINGS
from pytest_kollalab.sdn.topology.topology import BridgePort, ObservedFlow, Topology
from pytest_kollalab.system import http, wait
from pytest_kollalab.system.errors import KollalabError, StageError
from pytest_kollalab.system.signals import uninterrupted
from pytest_kollalab.system.wait import NotYet

TIMEOUT = 20.0
# Packets that are kept of each flow; Skydive allows no more.
RAW_PACKETS = 10
# Milliseconds between injected packets, so that an injection takes long enough to be seen.
INTERVAL = 400
# A capture has settled after so many queries in a row with the same counts.
SETTLED = 4


class Skydive:
    """A client of Skydive's analyzer.

    Args:
        url: The address of the analyzer.
        user: The user name.
        password: The password.
        within: Seconds that the analyzer may lag behind.
    """

    name = "skydive"

    def __init__(self, url: str, user: str, password: str, *, within: float = 30) -> None:
        self.url = url.rstrip("/")
        self.within = within
        self._session = http.session((user, password), proxies=False)

    def __repr__(self) -> str:
        return f"Skydive({self.url})"

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request to the API.

        Args:
            method: The HTTP method.
            path: The path below `/api/`.
            body: The JSON body.

        Returns:
            The JSON of the answer, None if it is empty.

        Raises:
            KollalabError: The analyzer does not answer or refuses the request.
        """
        import requests

        try:
            answer = self._session.request(
                method, f"{self.url}/api/{path}", json=body, timeout=TIMEOUT
            )
        except requests.RequestException as error:
            raise KollalabError(
                f"Skydive's analyzer does not answer at {self.url}", details=str(http.root(error))
            ) from error
        if not answer.ok:
            raise KollalabError(
                f"Skydive answers {answer.status_code} to {method} {path}",
                details=answer.text.strip(),
            )
        return answer.json() if answer.content else None

    def gremlin(self, query: str) -> list[Any]:
        """The results of a Gremlin query."""
        return self.ask("POST", "topology", {"GremlinQuery": query}) or []

    def agents(self) -> set[str]:
        """The nodes whose agent is connected to the analyzer."""
        found = self.ask("GET", "status")["Agents"] or {}
        return {name for name, agent in found.items() if agent["IsConnected"]}

    def graph(self) -> SkydiveGraph:
        """Skydive's whole graph now."""
        return SkydiveGraph.parse(self.gremlin("G"))

    def topology(self) -> Topology:
        """The topology now."""
        return self.graph().topology()

    @contextmanager
    def capture(self, query: str, filter: str = "") -> Iterator[str]:
        """Capture at the nodes that a Gremlin query selects until the block ends.

        Args:
            query: The query.
            filter: A filter expression of tcpdump.

        Yields:
            The id of the capture.
        """
        body: dict[str, Any] = {"GremlinQuery": query, "RawPacketLimit": RAW_PACKETS}
        with ExitStack() as undo:
            body |= {"BPFFilter": filter} if filter else {}
            yield self._post(undo, "capture", body, self._end_capture)

    def _post(
        self, undo: ExitStack, kind: str, body: Mapping[str, Any], remove: Callable[[str], object]
    ) -> str:
        """Make something and push its removal, which is given its id; return the id."""
        with uninterrupted():
            made = str(self.ask("POST", kind, body)["UUID"])
            undo.callback(remove, made)
        return made

    def _end_capture(self, made: str) -> None:
        with suppress(KollalabError):
            self.ask("DELETE", f"capture/{made}")
            self.await_captured(made, set())

    def _end_injection(self, made: str) -> None:
        with suppress(KollalabError):
            self.ask("DELETE", f"injectpacket/{made}")

    def _end_alert(self, made: str) -> None:
        self.ask("DELETE", f"alert/{made}")

    def await_captured(self, capture: str, wanted: set[str]) -> None:
        """Wait until a capture is active at exactly the nodes with these TIDs. Raises WaitError."""

        def look() -> bool | NotYet:
            graph = self.graph()
            active = graph.captured(capture)
            if active == wanted:
                return True
            # Skydive does not report nodes at which it could not start the capture.
            known = "".join(f"\n{tid}: {graph.known_of(tid)}" for tid in sorted(wanted ^ active))
            return NotYet(f"{len(active)} of {len(wanted)} points{known}")

        what = "the capture to begin" if wanted else "the capture to end"
        wait.until(what, look, timeout=self.within, interval=0.3)

    @contextmanager
    def watch(self, points: Iterable[BridgePort], filter: str = "") -> Iterator[SkydiveSight]:
        """Capture at ports until the block ends; its flows and packets are read at the end."""
        graph = self.graph()
        targets = {point: graph.tid(point) for point in points}
        query = f"G.V().Has('TID', {within(targets.values())})"
        with self.capture(query, filter) as capture:
            self.await_captured(capture, set(targets.values()))
            sight = SkydiveSight(self, targets, capture)
            yield sight
            sight.close()

    def inject(self, src: BridgePort, dst: BridgePort, *, count: int = 3, number: int = 0) -> None:
        """Have the agent at `src` send pings to another port, and wait until they are sent.

        Args:
            src: The port that they are sent from.
            dst: The port that they are addressed to.
            count: The number of pings.
            number: The ICMP identifier of the pings.

        Raises:
            WaitError: The injection does not start or end in time.
        """
        graph = self.graph()
        body = {
            "Src": f"G.V().Has('TID', '{graph.tid(src)}')",
            "Dst": f"G.V().Has('TID', '{graph.tid(dst)}')",
            "Type": "icmp4",
            "Count": count,
            "Interval": INTERVAL,
            "ICMPID": number,
            "TTL": 64,
        }
        begun = False

        def look() -> bool | NotYet:
            nonlocal begun
            injecting = injection in self.graph().injections(src)
            begun = begun or injecting
            return (begun and not injecting) or NotYet("still going on" if begun else "not begun")

        with ExitStack() as undo:
            injection = self._post(undo, "injectpacket", body, self._end_injection)
            wait.until("the packets to be injected", look, timeout=self.within, interval=0.1)

    @contextmanager
    def alert(self, expression: str, action: str) -> Iterator[str]:
        """Call a URL whenever a Gremlin expression becomes true, until the block ends.

        Args:
            expression: The expression.
            action: The URL.

        Yields:
            The id of the alert.
        """
        body = {"Expression": expression, "Action": action, "Trigger": "graph"}
        with ExitStack() as undo:
            yield self._post(undo, "alert", body, self._end_alert)


@dataclass
class SkydiveSight:
    """The flows and packets that Skydive captured at ports."""

    skydive: Skydive
    targets: Mapping[BridgePort, str]
    capture: str

    def __post_init__(self) -> None:
        self._flows: dict[str, list[ObservedFlow]] = {}
        self._packets: dict[str, list[Packet]] = {}
        self._query = f"G.Flows().Has('CaptureID', '{self.capture}')"

    def flows(self, point: BridgePort) -> Sequence[ObservedFlow]:
        """The flows that passed a port."""
        return self._flows.get(self.targets[point], [])

    def packets(self, point: BridgePort) -> Sequence[Packet]:
        """The IPv4 packets that passed a port, in order."""
        return self._packets.get(self.targets[point], [])

    def close(self) -> None:
        """Read flows and packets once the counts are stable: agents read packets in blocks."""
        before: list[int] = []

        def look() -> bool | NotYet:
            metrics = self.skydive.gremlin(f"{self._query}.Metrics().Sum()")
            before.append(hash(json.dumps(metrics)))
            last = before[-SETTLED:]
            settled = len(last) == SETTLED and len(set(last)) == 1
            return settled or NotYet(f"still counting: {metrics}")

        wait.until("what was captured to be told", look, timeout=self.skydive.within, interval=0.4)
        raw = self.skydive.gremlin(self._query)
        self._flows = parse_flows(raw)
        found = self.skydive.gremlin(f"{self._query}.RawPackets()")
        frames = parse_frames(raw, found)
        self._packets = {
            place: [packet for packet in map(decode, seen) if packet.is_ipv4]
            for place, seen in frames.items()
        }
        names = {tid: point.name for point, tid in self.targets.items()}
        RECORDINGS.add(
            f"skydive-{self.capture}",
            [replace(f, device=names.get(f.device, "")) for seen in frames.values() for f in seen],
            time.time(),
        )


def of_lab(address: str, secrets_file: Path, *, slowness: float = 1) -> Skydive:
    """A client of a lab's Skydive.

    Args:
        address: The address of the controller.
        secrets_file: The file with the lab's passwords.
        slowness: The factor by which deadlines are multiplied.

    Raises:
        StageError: The lab has no Skydive.
    """
    secrets = passwords.read(secrets_file)
    if PASSWORD not in secrets:
        raise StageError("this lab has no Skydive", hint="kollalab up --feature skydive")
    url = f"http://{address}:{PORT}"
    return Skydive(url, USER, str(secrets[PASSWORD]), within=30 * slowness)


def within(values: Iterable[str]) -> str:
    """A Gremlin predicate that is true for these values."""
    return "Within(" + ", ".join(f"'{value}'" for value in values) + ")"
