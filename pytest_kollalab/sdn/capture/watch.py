"""The watch: records the packets at the devices of a tenant's probes on each node."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pytest_kollalab.sdn import on_nodes
from pytest_kollalab.sdn.capture.decode import decode, read
from pytest_kollalab.sdn.capture.packets import Packet, Sighting
from pytest_kollalab.sdn.capture.recordings import RECORDINGS
from pytest_kollalab.sdn.probe.namespace import FOLDER
from pytest_kollalab.system.errors import KollalabError

if TYPE_CHECKING:
    from pytest_kollalab.sdn.probe.probe import Probe
    from pytest_kollalab.system.ssh import Ssh

START = """
folder=$1 unit=$2
mkdir -p "$folder"
cat > "$folder/observer.py" << 'END'
%s
END
systemd-run --quiet --collect --unit="$unit" --property=StandardError=file:"$folder/err" \\
    python3 "$folder/observer.py" "$folder/socket"
tries=0
until [ -S "$folder/socket" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 200 ]; then cat "$folder/err" >&2; exit 1; fi
    sleep 0.05
done
"""
# Stands for the node's own namespace, where devices are the other ends of servers' cards.
ROOT = "-"
STOP = 'systemctl stop --quiet "$2" 2> /dev/null || true; rm -rf "$1"'


@dataclass(eq=False)
class NodeWatch:
    """The observer of one node.

    Attributes:
        ssh: Runs commands on the node.
        node: The node.
        name: The name of the tenant.
        devices: The devices that are watched.
        cards: The devices of servers, with the MAC addresses of the servers' cards.
        seen: The packets so far.
        ahead: The seconds that the node's clock is ahead of this host's.
        unsure: By how many seconds `ahead` may be wrong.
    """

    ssh: Ssh
    node: str
    name: str
    devices: set[str] = field(default_factory=set)
    cards: dict[str, str] = field(default_factory=dict)
    seen: list[Sighting] = field(default_factory=list)
    ahead: float = 0.0
    unsure: float = 0.0

    def __post_init__(self) -> None:
        # The artifacts of a failure pull from a thread.
        self._lock = threading.Lock()

    @property
    def folder(self) -> str:
        return f"{FOLDER}/{self.name}-observer"

    @property
    def unit(self) -> str:
        return f"kollalab-{self.name}-observer"

    def start(self) -> None:
        """Start the observer on the node."""
        self._script(START % on_nodes.source("observer"))
        RECORDINGS.running.add(self)

    def stop(self) -> None:
        """Stop the observer, if it runs."""
        RECORDINGS.running.discard(self)
        self._script(STOP)

    def watch(self, devices: Iterable[tuple[str, str]]) -> None:
        """Watch further devices, given as pairs of namespace and device."""
        new = [(namespace, device) for namespace, device in devices if device not in self.devices]
        if not new:
            return
        asked = time.time()
        clock = self._ask("watch " + " ".join(word for pair in new for word in pair))
        answered = time.time()
        # The clock was read at some moment between question and answer.
        self.ahead, self.unsure = clock - (asked + answered) / 2, (answered - asked) / 2
        self.devices |= {device for _, device in new}

    def forget(self, devices: Iterable[str]) -> None:
        """Stop watching devices."""
        known = [device for device in devices if device in self.devices]
        if known:
            self._ask("forget " + " ".join(known))
            self.devices -= set(known)

    def pull(self) -> None:
        """Fetch the packets up to now."""
        with self._lock:
            taken = [
                replace(frame, time=frame.time - self.ahead)
                for frame in read(base64.b64decode(self._ask("take")))
            ]
            for frame in taken:
                packet = decode(frame)
                card = self.cards.get(frame.device)
                way = frame.way if card is None else from_inside(frame.way, packet, card)
                self.seen.append(Sighting(frame.device, way, packet))
        RECORDINGS.add(f"{self.node}-{self.name}-observer", taken, slack=self.unsure)

    def _ask(self, line: str) -> Any:
        argv = ["socat", "-t", "60", "-", f"UNIX-CONNECT:{self.folder}/socket"]
        answer = json.loads(self.ssh.run(self.node, argv, input=line + "\n").stdout)
        if isinstance(answer, dict):
            raise KollalabError(
                f"the observer of {self.node} could not {line.split(maxsplit=1)[0]}",
                details=answer["error"],
                hint=f"look at the namespaces of the node: kollalab ssh {self.node} ip netns",
            )
        return answer

    def _script(self, text: str) -> None:
        self.ssh.run(
            self.node, ["sh", "-eu", "-s", "--", self.folder, self.unit], input=text, timeout=60
        )


@dataclass(frozen=True)
class Mark:
    """A moment, as the number of packets that each node has seen."""

    seen: dict[str, int]


class Watch:
    """The observers of a tenant, one for each node with a watched probe."""

    def __init__(self, ssh: Ssh, name: str) -> None:
        self._ssh = ssh
        self._name = name
        self._nodes: dict[str, NodeWatch] = {}

    def over(self, *probes: Probe) -> None:
        """Watch all devices of probes from now on; they may be watched already."""
        by_node: dict[str, list[tuple[str, str]]] = {}
        for probe in probes:
            pairs = [(probe.namespace.name, port.device) for port in probe.ports]
            by_node.setdefault(probe.node, []).extend(dict.fromkeys(pairs))
        for node, devices in by_node.items():
            if node not in self._nodes:
                self._nodes[node] = NodeWatch(self._ssh, node, self._name)
                self._nodes[node].start()
            self._nodes[node].watch(devices)
        for probe in probes:
            if probe.namespace.name == ROOT:
                cards = {port.device: port.mac for port in probe.ports}
                self._nodes[probe.node].cards.update(cards)

    def forget(self, probe: Probe) -> None:
        """Stop watching a probe, because it is removed."""
        if probe.node in self._nodes:
            self._nodes[probe.node].forget([port.device for port in probe.ports])

    def mark(self, *nodes: str) -> Mark:
        """Mark the present moment on the given nodes, or on all."""
        wanted = nodes or tuple(self._nodes)
        for node in wanted:
            self._nodes[node].pull()
        return Mark({node: len(self._nodes[node].seen) for node in wanted})

    def since(self, mark: Mark) -> list[Sighting]:
        """The packets since a mark: node by node, in the order in which they were seen."""
        found = []
        for node, start in mark.seen.items():
            self._nodes[node].pull()
            found += self._nodes[node].seen[start:]
        return found

    def stop(self) -> None:
        """Stop all observers."""
        with ExitStack() as undo:
            for watch in self._nodes.values():
                undo.callback(watch.stop)
        self._nodes.clear()


def from_inside(way: str, packet: Packet, card: str) -> str:
    """The way of a packet as a server sees it, from its way at the node's end of the card."""
    if way != "out":
        return "out"
    return "in" if packet.dst_mac == card else "by"
