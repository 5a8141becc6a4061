"""Numbered packets: sends, receives and captures them; runs on a node with Python's library alone.

`traffic.py PLAN` reads the file PLAN (JSON) and answers one line a connection at the Unix socket
`socket` in its working directory, as JSON:

- `clock`: the monotonic and the real clock, in nanoseconds
- `go`: begins to send; `cease`: stops that
- `state`: by stream, how many packets have been sent, and the newest number that has arrived
- `take`: all that was recorded; times are those of the monotonic clock, in nanoseconds

A packet is sent at fixed moments, whatever came between. When it arrives is told by the kernel, so
that sockets need to be read only once a second.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import errno
import gc
import json
import os
import re
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

SO_TIMESTAMPNS = 35
SO_RCVBUFFORCE = 33
SOL_RAW, ICMP_FILTER = 255, 1
SOL_PACKET, PACKET_STATISTICS = 263, 6
ETH_P_ALL = 3
TO_HOST, OUTGOING = 0, 4
ECHO_REPLY, ECHO_REQUEST, ICMP_HEADER = 0, 8, 8
CLONE_NEWNET = 0x40000000
ROOM = 8 << 20
LARGEST = 1 << 16
# In front of each packet's number: the mark of this watch and the number of the stream.
MARK, RECORD = 8, struct.Struct("!8sHI")
# Nanoseconds between two visits to sockets that keep their packets, and to what has ended.
VISIT = 1_000_000_000
# A connection that is not there after so long is begun anew.
CONNECT = 1_000_000_000
# Changes of flows that are no further apart are told as one.
TOGETHER = 100_000_000
# A connection that takes no more than this is behind: what it should send is not kept.
BACKLOG = 1 << 20
CHANGE = re.compile(rb"event=(ADDED|DELETED|MODIFIED)\b")
# Open vSwitch learns these by itself, and they expire.
LEARNED = b"hard_timeout="
CONTAINER_EVENTS = "create start die kill stop restart pause unpause oom health_status".split()
DOCKER = ["docker", "events", "--format", "{{json .}}", "--filter", "type=container"]
DOCKER += [word for event in CONTAINER_EVENTS for word in ("--filter", f"event={event}")]
# ovs-ofctl writes what it is told to its standard error.
MONITOR = """
pid=$(pgrep -xo ovs-vswitchd) || exit 1
exec nsenter --mount --target "$pid" ovs-ofctl -O OpenFlow10,OpenFlow13 monitor \
    "$1" 'watch:!initial' 2>&1
"""


def opened(namespace: str, make: Callable[[], socket.socket]) -> socket.socket:
    """A socket in a network namespace; `-` is the node's own."""
    if namespace == "-":
        return make()
    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        if libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"the namespace {namespace} cannot be entered")
        return make()
    finally:
        libc.setns(home, CLONE_NEWNET)
        os.close(there)
        os.close(home)


def timed(made: socket.socket) -> socket.socket:
    """A socket that does not block, with room for packets and the kernel's times of them."""
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    try:
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    except PermissionError:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
    return made


def drained(looking: socket.socket) -> Iterator[tuple[bytes, int, Any]]:
    """Each packet that waits in a socket: bytes, time by the monotonic clock, sender."""
    ahead = time.time_ns() - time.monotonic_ns()
    while True:
        try:
            data, told, _, sender = looking.recvmsg(LARGEST, 64)
        except BlockingIOError:
            return
        yield data, stamp(told, ahead), sender


def stamp(told: list[tuple[int, int, bytes]], ahead: int) -> int:
    """The time that the kernel tells beside a packet, by the monotonic clock."""
    for level, kind, content in told:
        if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
            seconds, nanoseconds = struct.unpack_from("qq", content)
            return int(seconds) * 1_000_000_000 + int(nanoseconds) - ahead
    return time.monotonic_ns()


def packed(numbers: array[int]) -> str:
    """Numbers as text: compressed, and in base64."""
    return base64.b64encode(zlib.compress(numbers.tobytes(), 1)).decode()


def echo_request(ident: int, number: int, payload: bytes) -> bytes:
    """A ping, with its checksum."""
    head = struct.pack("!BBHHH", ECHO_REQUEST, 0, 0, ident, number & 0xFFFF)
    body = head + payload
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return body[:2] + struct.pack("!H", ~total & 0xFFFF) + body[4:]


class Arrived:
    """The numbers of packets that arrived, in order, and when."""

    def __init__(self) -> None:
        self.numbers = array("I")
        self.times = array("q")
        self.newest = -1

    def add(self, number: int, when: int) -> None:
        """Note a packet."""
        self.numbers.append(number)
        self.times.append(when)
        self.newest = max(self.newest, number)

    def told(self) -> dict[str, str]:
        """What was noted, as JSON."""
        return {"numbers": packed(self.numbers), "times": packed(self.times)}


class Sender:
    """One end of a stream: sends its packets, each with the next number."""

    def __init__(self, plan: dict[str, Any], mark: bytes) -> None:
        self.plan = plan
        self.id = int(plan["id"])
        self.mark = mark
        self.times = array("q")
        # How many packets the kernel refused, and with which error last.
        self.refused = 0
        self.error = ""
        # How often a connection broke.
        self.broken = 0
        self.connection: socket.socket | None = None
        self.connected = False
        self.pending = b""
        self.began = 0
        if plan["kind"] != "tcp":
            self.connection = opened(plan["namespace"], self._made)
            self.connected = True

    def send(self, now: int) -> None:
        """Send the next packet."""
        if self.plan["kind"] == "tcp" and not self._connect(now):
            # The first connection is no loss.
            if self.times:
                self.times.append(now)
                self.refused += 1
            return
        number = len(self.times)
        record = RECORD.pack(self.mark, self.id, number)
        self.times.append(time.monotonic_ns())
        assert self.connection is not None
        try:
            if self.plan["kind"] == "udp":
                self.connection.sendto(record, (self.plan["address"], self.plan["port"]))
            elif self.plan["kind"] == "ping":
                ping = echo_request(self.plan["ident"], number, record)
                self.connection.sendto(ping, (self.plan["address"], 0))
            else:
                self._stream(record)
        except OSError as error:
            self.refused += 1
            self.error = str(error)

    def told(self) -> dict[str, Any]:
        """What was sent, as JSON."""
        words = {"refused": self.refused, "error": self.error, "broken": self.broken}
        return {"times": packed(self.times), **words}

    def _made(self) -> socket.socket:
        kind, source = self.plan["kind"], self.plan["source"]
        if kind == "ping":
            made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
            # Answers are read elsewhere.
            made.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", 0xFFFFFFFF))
        elif kind == "udp":
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        else:
            made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.setblocking(False)
        made.bind((source, 0))
        return made

    def _connect(self, now: int) -> bool:
        if self.connected:
            return True
        try:
            if self.connection is None:
                self.began, self.pending = now, b""
                self.connection = opened(self.plan["namespace"], self._made)
            code = self.connection.connect_ex((self.plan["address"], self.plan["port"]))
        except OSError as error:
            self.error = str(error)
            code = errno.EHOSTUNREACH
        if code in (0, errno.EISCONN):
            self.connected = True
        elif code not in (errno.EINPROGRESS, errno.EALREADY) or now - self.began > CONNECT:
            self.error = os.strerror(code)
            self._close()
        return self.connected

    def _stream(self, record: bytes) -> None:
        assert self.connection is not None
        if len(self.pending) > BACKLOG:
            raise OSError(errno.ENOBUFS, "the connection takes nothing any more")
        self.pending += record
        try:
            self.pending = self.pending[self.connection.send(self.pending) :]
        except BlockingIOError:
            return
        except OSError:
            self.broken += 1
            self._close()
            raise

    def _close(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection, self.connected = None, False


class Answers:
    """The answers to pings that arrive in a namespace."""

    def __init__(self, namespace: str, mark: bytes, arrived: dict[int, Arrived]) -> None:
        self.mark = mark
        self.arrived = arrived
        self.socket = opened(namespace, self._made)

    def visit(self) -> None:
        """Read what waits."""
        for data, when, _ in drained(self.socket):
            at = data.find(self.mark)
            if at >= 0 and len(data) >= at + RECORD.size:
                _, stream, number = RECORD.unpack_from(data, at)
                if stream in self.arrived:
                    self.arrived[stream].add(number, when)

    def _made(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        made.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", 0xFFFFFFFF & ~(1 << ECHO_REPLY)))
        return timed(made)


class Datagrams:
    """The UDP packets of a stream that arrive."""

    def __init__(self, plan: dict[str, Any], mark: bytes, arrived: Arrived) -> None:
        self.plan = plan
        self.mark = mark
        self.arrived = arrived
        self.socket = opened(plan["namespace"], self._made)

    def visit(self) -> None:
        """Read what waits."""
        for data, when, _ in drained(self.socket):
            if data.startswith(self.mark) and len(data) >= RECORD.size:
                self.arrived.add(RECORD.unpack_from(data)[2], when)

    def _made(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("", self.plan["port"]))
        return timed(made)


class Connections:
    """The TCP connections of a stream, one after the other, and what comes over them."""

    def __init__(self, plan: dict[str, Any], mark: bytes, arrived: Arrived) -> None:
        self.plan = plan
        self.mark = mark
        self.arrived = arrived
        self.socket = opened(plan["namespace"], self._made)
        self.rest: dict[socket.socket, bytes] = {}

    def accept(self) -> socket.socket | None:
        """A new connection."""
        with contextlib.suppress(OSError):
            connection, _ = self.socket.accept()
            self.rest[timed(connection)] = b""
            return connection
        return None

    def read(self, connection: socket.socket) -> bool:
        """Read what has come; whether there may be more later."""
        try:
            data, told, *_ = connection.recvmsg(LARGEST, 64)
        except BlockingIOError:
            return True
        except OSError:
            data, told = b"", []
        if not data:
            del self.rest[connection]
            connection.close()
            return False
        when = stamp(told, time.time_ns() - time.monotonic_ns())
        data = self.rest[connection] + data
        whole = len(data) - len(data) % RECORD.size
        for mark, _, number in RECORD.iter_unpack(data[:whole]):
            if mark == self.mark:
                self.arrived.add(number, when)
        self.rest[connection] = data[whole:]
        return True

    def _made(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setblocking(False)
        made.bind(("", self.plan["port"]))
        made.listen(16)
        return made


class Place:
    """The frames with our packets at the devices of a function or of a target.

    Attributes:
        numbers: By stream and way, the numbers of packets. Ways are `in` and `out`, `back in` and
            `back out` for answers to pings.
        missed: How many frames the kernel had no room for.
    """

    def __init__(self, plan: dict[str, Any], mark: bytes) -> None:
        self.plan = plan
        self.mark = mark
        self.pings = set(plan["pings"])
        self.macs = {bytes.fromhex(mac.replace(":", "")) for mac in plan["macs"]}
        self.numbers: dict[tuple[int, str], array[int]] = {}
        self.missed = 0
        self.sockets: dict[str, socket.socket | None] = dict.fromkeys(plan["devices"] or [""])
        self.blind = 0
        self._open()

    def visit(self) -> None:
        """Read what waits."""
        for device, looking in self.sockets.items():
            if looking is None:
                continue
            try:
                for data, _, sender in drained(looking):
                    self._look(data, sender[2])
            except OSError:
                # The device is down or gone. Without a name, the socket looks at what comes next.
                if device:
                    looking.close()
                    self.sockets[device] = None
                continue
            answer = looking.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8)
            self.missed += struct.unpack("II", answer)[1]
        self._open()

    def told(self) -> dict[str, Any]:
        """What was seen, as JSON."""
        seen = [
            {"id": stream, "way": way, "numbers": packed(numbers)}
            for (stream, way), numbers in self.numbers.items()
        ]
        place = self.plan["place"]
        return {"place": place, "seen": seen, "missed": self.missed, "blind": self.blind}

    def _look(self, data: bytes, kind: int) -> None:
        at = data.find(self.mark)
        if at < 0:
            return
        way = self._way(data, kind)
        while at >= 0 and len(data) >= at + RECORD.size:
            _, stream, number = RECORD.unpack_from(data, at)
            back = stream in self.pings and data[at - ICMP_HEADER] == ECHO_REPLY
            if way:
                key = (stream, f"back {way}" if back else way)
                self.numbers.setdefault(key, array("I")).append(number)
            at = data.find(self.mark, at + RECORD.size)

    def _way(self, data: bytes, kind: int) -> str:
        if not self.macs:
            return {TO_HOST: "in", OUTGOING: "out"}.get(kind, "")
        # At the node's end of a server's card: what leaves the node arrives at the server.
        if kind == OUTGOING:
            return "in" if data[:6] in self.macs else ""
        return "out"

    def _open(self) -> None:
        for device, looking in self.sockets.items():
            if looking is None:
                with contextlib.suppress(OSError):
                    self.sockets[device] = self._opened(device)
        self.blind += sum(looking is None for looking in self.sockets.values())

    def _opened(self, device: str) -> socket.socket:
        def make() -> socket.socket:
            kind = 0 if device else socket.htons(ETH_P_ALL)
            made = timed(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, kind))
            if device:
                made.bind((device, ETH_P_ALL))
            return made

        return opened(self.plan["namespace"], make)


class Told:
    """A program that tells line by line what happens; started anew when it has ended."""

    def __init__(
        self, argv: list[str], ended: str, line: Callable[[bytes], None], needs: str = "/"
    ) -> None:
        self.argv = argv
        self.ended = ended
        self.line = line
        self.needs = Path(needs)
        self.rest = b""
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> int | None:
        """Start it if it does not run; returns the descriptor of a new one's output."""
        if not self.needs.exists() or (self.process is not None and self.process.poll() is None):
            return None
        self.rest = b""
        with contextlib.suppress(OSError):
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
            )
            assert self.process.stdout is not None
            os.set_blocking(self.process.stdout.fileno(), False)
            return self.process.stdout.fileno()
        return None

    def read(self) -> bool:
        """Read what it says; whether it goes on."""
        assert self.process is not None
        assert self.process.stdout is not None
        try:
            data = os.read(self.process.stdout.fileno(), LARGEST)
        except BlockingIOError:
            return True
        *lines, self.rest = (self.rest + data).split(b"\n")
        for line in lines:
            self.line(line)
        if not data:
            self.process.wait()
        return bool(data)

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def processor(self) -> int:
        """The nanoseconds of a processor that the running one has taken."""
        if self.process is None or self.process.poll() is not None:
            return 0
        words = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Flows:
    """The changes of a bridge's flow table: those that belong together as one."""

    def __init__(self, bridge: str, happened: list[dict[str, Any]]) -> None:
        self.bridge = bridge
        self.happened = happened
        self.last: dict[str, Any] | None = None

    def line(self, line: bytes) -> None:
        """Read a line of ovs-ofctl."""
        found = CHANGE.search(line)
        if found is None or LEARNED in line:
            return
        now = time.monotonic_ns()
        if self.last is None or now - self.last["until"] > TOGETHER:
            self.last = {"kind": "flows", "bridge": self.bridge, "time": now, "until": now}
            self.happened.append(self.last)
        self.last["until"] = now
        word = found[1].decode().lower()
        self.last[word] = self.last.get(word, 0) + 1


class Program:
    """All that runs on this node."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.mark = bytes.fromhex(plan["mark"])
        self.interval = int(plan["interval"] * 1e9)
        self.happened: list[dict[str, Any]] = []
        self.senders = [Sender(each, self.mark) for each in plan["send"]]
        self.arrived: dict[int, Arrived] = {}
        self.kept: list[Answers | Datagrams | Place] = []
        self.places: list[Place] = []
        self.handlers: dict[int, Callable[[], None]] = {}
        self.poll = select.epoll()
        self.began = self.next = self.ceased = 0
        self.skipped = 0
        self.spent = 0
        self._receive(plan)
        self.told: list[Told] = []
        if plan["docker"]:
            self.told.append(Told(DOCKER, "docker tells no more", self._docker))
        for bridge in plan["bridges"]:
            flows = Flows(bridge, self.happened)
            argv = ["sh", "-c", MONITOR, "monitor", bridge]
            ended = f"Open vSwitch tells no more of {bridge}"
            self.told.append(Told(argv, ended, flows.line, f"/run/openvswitch/{bridge}.mgmt"))
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind("socket")
        server.listen(4)
        self._handle(server.fileno(), lambda: self._ask(server))

    def run(self) -> None:
        """Go on until somebody stops the process."""
        visit = 0
        while True:
            now = time.monotonic_ns()
            if self.next and now >= self.next:
                self._tick(now)
            if now >= visit:
                self.visit()
                visit = now + VISIT
            until = min(visit, self.next or visit) - time.monotonic_ns()
            for ready, _ in self.poll.poll(max(until, 0) / 1e9):
                if ready in self.handlers:
                    self.handlers[ready]()

    def visit(self) -> None:
        """Read the sockets that keep their packets, and start anew what has ended."""
        for each in self.kept:
            each.visit()
        for told in self.told:
            fileno = told.start()
            if fileno is not None:
                self._handle(fileno, lambda told=told, fileno=fileno: self._read(told, fileno))  # type: ignore[misc]

    def clock(self) -> dict[str, int]:
        """Both clocks, at one moment."""
        return {"monotonic": time.monotonic_ns(), "real": time.time_ns()}

    def go(self) -> dict[str, int]:
        """Begin to send."""
        self.spent = self._processor()
        self.began = self.next = time.monotonic_ns()
        return self.clock()

    def cease(self) -> dict[str, int]:
        """Send no more."""
        self.next = 0
        self.ceased = time.monotonic_ns()
        self.spent = self._processor() - self.spent
        return self.clock()

    def state(self) -> dict[str, Any]:
        """How far each stream is."""
        self.visit()
        return {
            "sent": {each.id: len(each.times) for each in self.senders},
            "errors": {each.id: each.error for each in self.senders if each.error},
            "newest": {stream: arrived.newest for stream, arrived in self.arrived.items()},
        }

    def take(self) -> dict[str, Any]:
        """All that was recorded."""
        self.visit()
        for told in self.told:
            told.stop()
        return {
            "sent": {each.id: each.told() for each in self.senders},
            "arrived": {stream: arrived.told() for stream, arrived in self.arrived.items()},
            "places": [place.told() for place in self.places],
            "happened": self.happened,
            "skipped": self.skipped,
            "processor": self.spent,
            "elapsed": self.ceased - self.began,
        }

    def _receive(self, plan: dict[str, Any]) -> None:
        pings = [each for each in plan["send"] if each["kind"] == "ping"]
        for stream in [*pings, *plan["receive"]]:
            self.arrived[int(stream["id"])] = Arrived()
        for namespace in dict.fromkeys(each["namespace"] for each in pings):
            self.kept.append(Answers(namespace, self.mark, self.arrived))
        for stream in plan["receive"]:
            arrived = self.arrived[int(stream["id"])]
            if stream["kind"] == "udp":
                self.kept.append(Datagrams(stream, self.mark, arrived))
            else:
                there = Connections(stream, self.mark, arrived)
                self._handle(there.socket.fileno(), lambda there=there: self._accept(there))  # type: ignore[misc]
        self.places = [Place(each, self.mark) for each in plan["capture"]]
        self.kept += self.places

    def _tick(self, now: int) -> None:
        for sender in self.senders:
            sender.send(now)
        late = (time.monotonic_ns() - self.next) // self.interval
        self.skipped += late
        self.next += (late + 1) * self.interval

    def _handle(self, fileno: int, handler: Callable[[], None]) -> None:
        self.handlers[fileno] = handler
        self.poll.register(fileno, select.EPOLLIN)

    def _drop(self, fileno: int) -> None:
        self.handlers.pop(fileno, None)
        # It may be closed already.
        with contextlib.suppress(OSError):
            self.poll.unregister(fileno)

    def _accept(self, there: Connections) -> None:
        connection = there.accept()
        if connection is not None:
            fileno = connection.fileno()

            def read() -> None:
                if not there.read(connection):
                    self._drop(fileno)

            self._handle(fileno, read)

    def _read(self, told: Told, fileno: int) -> None:
        if told.read():
            return
        self._drop(fileno)
        now = time.monotonic_ns()
        last = next((each for each in self.happened[::-1] if each.get("text") == told.ended), None)
        if last is not None and now - last["until"] < 2 * VISIT:
            # An attempt to have it again.
            last["until"] = now
        else:
            self.happened.append({"kind": "ended", "time": now, "until": now, "text": told.ended})

    def _docker(self, line: bytes) -> None:
        with contextlib.suppress(ValueError):
            event = json.loads(line)
            when = int(event["timeNano"]) - (time.time_ns() - time.monotonic_ns())
            attributes = event["Actor"]["Attributes"]
            words = {"container": attributes.get("name", ""), "action": event["Action"]}
            code = {"code": attributes["exitCode"]} if "exitCode" in attributes else {}
            told = {"kind": "docker", "time": when, "until": when, **words, **code}
            self.happened.append(told)

    def _processor(self) -> int:
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        mine = time.process_time_ns() + int((ended.ru_utime + ended.ru_stime) * 1e9)
        return mine + sum(told.processor() for told in self.told)

    def _ask(self, server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection:
            try:
                word = connection.makefile().readline().strip()
                answer = getattr(self, word)()
            except Exception as error:  # noqa: BLE001  # whoever asked shall know
                answer = {"error": f"{type(error).__name__}: {error}"}
            with contextlib.suppress(OSError):
                connection.sendall(json.dumps(answer).encode())


def main(path: str) -> None:
    """Answer until somebody stops the process."""
    # A packet is sent late if others are served first. It is not ours to ask for everywhere.
    with contextlib.suppress(OSError):
        os.nice(-10)
    gc.disable()
    program = Program(json.loads(Path(path).read_text()))

    def stop(*_: object) -> None:
        for told in program.told:
            told.stop()
        sys.exit()

    signal.signal(signal.SIGTERM, stop)
    sys.stderr.write("ready\n")
    sys.stderr.flush()
    program.run()


if __name__ == "__main__":
    main(sys.argv[1])
