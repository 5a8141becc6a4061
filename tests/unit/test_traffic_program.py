"""The program that sends and receives numbered packets, on the loopback and without root."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_kollalab.sdn import on_nodes
from pytest_kollalab.sdn.on_nodes import traffic
from pytest_kollalab.sdn.traffic.watch import unpacked
from pytest_kollalab.system import wait

ADDRESS = "127.0.0.1"
MARK = "0123456789abcdef"


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((ADDRESS, 0))
        return int(probe.getsockname()[1])


def plan(*kinds: str) -> dict[str, Any]:
    send, receive = [], []
    for number, kind in enumerate(kinds):
        port = free_port(socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
        stream = {"id": number, "kind": kind, "namespace": "-", "port": port}
        send.append({**stream, "source": ADDRESS, "address": ADDRESS, "ident": 1})
        receive.append(stream)
    told = {"docker": False, "bridges": [], "capture": []}
    return {"mark": MARK, "interval": 0.005, "send": send, "receive": receive, **told}


class Running:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def ask(self, word: str) -> Any:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.folder / "socket"))
            asking.sendall(f"{word}\n".encode())
            return json.loads(b"".join(iter(lambda: asking.recv(65536), b"")))

    def await_sent(self, count: int) -> None:
        def look() -> bool:
            state = self.ask("state")
            return all(sent >= count for sent in state["sent"].values()) and all(
                newest >= count - 1 for newest in state["newest"].values()
            )

        wait.until(f"{count} packets of each stream", look, timeout=60, interval=0.05)


@contextmanager
def running(folder: Path, planned: dict[str, Any]) -> Iterator[Running]:
    (folder / "plan.json").write_text(json.dumps(planned))
    (folder / "traffic.py").write_text(on_nodes.source("traffic"))
    with subprocess.Popen(
        [sys.executable, "-u", "traffic.py", "plan.json"], cwd=folder, stderr=subprocess.PIPE
    ) as process:
        try:
            assert process.stderr is not None
            assert process.stderr.readline() == b"ready\n"
            yield Running(folder)
        finally:
            process.terminate()


def test_all_that_is_sent_arrives_in_order(tmp_path: Path) -> None:
    with running(tmp_path, plan("udp", "tcp", "udp")) as program:
        program.ask("go")
        program.await_sent(40)
        program.ask("cease")
        wait.until("the last ones", lambda: rested(program), timeout=30, interval=0.05)
        answer = program.ask("take")
    for number in "012":
        sent = unpacked(answer["sent"][number]["times"], "q")
        arrived = answer["arrived"][number]
        assert list(unpacked(arrived["numbers"], "I")) == list(range(len(sent)))
        # By the clock of the kernel, turned into the one by which they were sent.
        times = unpacked(arrived["times"], "q")
        assert all(one - 10**6 < other for one, other in zip(sent, times, strict=True))
        assert answer["sent"][number]["refused"] == answer["sent"][number]["broken"] == 0
    assert 0 < answer["processor"] < answer["elapsed"]


def rested(program: Running) -> bool:
    state = program.ask("state")
    return all(state["newest"][number] == sent - 1 for number, sent in state["sent"].items())


def test_it_does_not_drift(tmp_path: Path) -> None:
    planned = plan("udp")
    with running(tmp_path, planned) as program:
        began = program.ask("go")["monotonic"]
        program.await_sent(100)
        program.ask("cease")
        answer = program.ask("take")
    sent = unpacked(answer["sent"]["0"]["times"], "q")
    # What was left out because the host was busy counts as well: each has its own moment.
    moments = [(when - began) / 5_000_000 for when in sent]
    assert len(sent) + answer["skipped"] - 1 <= moments[-1] + 1


def test_nobody_listens_and_then_somebody_does(tmp_path: Path) -> None:
    planned = plan("tcp")
    planned["receive"] = []
    with running(tmp_path, planned) as program:
        program.ask("go")
        wait.until(
            "its error", lambda: "0" in program.ask("state")["errors"], timeout=30, interval=0.05
        )
        assert program.ask("state")["sent"] == {"0": 0}
        with socket.create_server((ADDRESS, planned["send"][0]["port"])) as server:
            connection, _ = server.accept()
            with connection:
                first = connection.recv(traffic.RECORD.size)
        assert traffic.RECORD.unpack(first) == (bytes.fromhex(MARK), 0, 0)
        # The connection is gone again: what is not sent now counts as lost.
        wait.until(
            "a broken connection",
            lambda: "0" in program.ask("state")["errors"] and program.ask("state")["sent"]["0"] > 9,
            timeout=30,
            interval=0.05,
        )
        program.ask("cease")
        answer = program.ask("take")
    assert answer["sent"]["0"]["broken"] == 1
    assert answer["sent"]["0"]["refused"] > 0


def test_an_unknown_word_is_an_error(tmp_path: Path) -> None:
    with running(tmp_path, plan("udp")) as program:
        assert program.ask("nothing")["error"].startswith("AttributeError")
        assert set(program.ask("clock")) == {"monotonic", "real"}


def test_changes_of_flows_that_come_together_are_one() -> None:
    happened: list[dict[str, Any]] = []
    flows = traffic.Flows("br-int", happened)
    for line in (
        b"NXST_FLOW_MONITOR reply (xid=0x0):",
        b" event=DELETED reason=delete table=0 cookie=0x1 in_port=3",
        b" event=DELETED reason=delete table=60 cookie=0x1",
        b" event=ADDED table=0 cookie=0x2 actions=resubmit(,60)",
        b" event=ADDED table=20 hard_timeout=300 cookie=0x2 actions=output:2",
    ):
        flows.line(line)
    (change,) = happened
    assert (change["deleted"], change["added"], change["bridge"]) == (2, 1, "br-int")
    flows.last = {**change, "until": change["until"] - 10 * traffic.TOGETHER}
    flows.line(b" event=MODIFIED table=0")
    assert [each.get("modified") for each in happened] == [None, 1]


def test_the_checksum_of_a_ping() -> None:
    ping = traffic.echo_request(7, 1, b"01234567")
    words = [int.from_bytes(ping[at : at + 2]) for at in range(0, len(ping), 2)]
    assert ping[0] == traffic.ECHO_REQUEST
    total = sum(words)
    assert (total & 0xFFFF) + (total >> 16) == 0xFFFF


OWN, OTHER = b"\1" * 6, b"\2" * 6
BY = 3


@pytest.mark.parametrize(
    ("macs", "to", "kind", "way"),
    [
        (set(), OWN, traffic.TO_HOST, "in"),
        (set(), OTHER, traffic.OUTGOING, "out"),
        (set(), OTHER, BY, ""),
        # The node's end of a server's card: what leaves the node comes to the server.
        ({OWN}, OWN, traffic.OUTGOING, "in"),
        ({OWN}, OTHER, traffic.OUTGOING, ""),
        ({OWN}, OTHER, BY, "out"),
    ],
)
def test_ways_in_a_namespace_and_at_a_card(
    macs: set[bytes], to: bytes, kind: int, way: str
) -> None:
    # Without a socket: only its judgement.
    place = object.__new__(traffic.Place)
    place.macs = macs
    assert place._way(to, kind) == way


def test_docker_is_told_by_its_own_time() -> None:
    program = object.__new__(traffic.Program)
    program.happened = []
    now = time.time_ns()
    attributes = {"name": "neutron_server", "exitCode": "137"}
    event = {"Action": "die", "Actor": {"Attributes": attributes}, "timeNano": now}
    program._docker(json.dumps(event).encode())
    program._docker(b"Error response from daemon")
    (told,) = program.happened
    assert (told["container"], told["action"], told["code"]) == ("neutron_server", "die", "137")
    assert abs(time.monotonic_ns() - told["time"]) < 60 * 10**9
