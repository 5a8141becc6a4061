"""Recordings: which frames are kept for a failure, and the files that they become."""

from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path

import pytest

from pytest_kollalab.sdn.capture import decode, recordings
from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.capture.recordings import Recordings
from pytest_kollalab.sdn.capture.watch import NodeWatch
from pytest_kollalab.system.run import Result

PING = bytes.fromhex(
    "fa163e000002fa163e00000108004500001c00010000400166de0a0000010a0000020800f7fe00000001"
)


def ping(time: float, way: str = "", device: str = "tap1") -> Frame:
    return Frame(time, PING, len(PING), device, way)


def test_a_span_has_the_frames_of_its_time() -> None:
    kept = Recordings()
    kept.add("observer", [ping(10.0), ping(20.0), ping(30.0)])
    # The clock of this node is far off: the moment is that of our own.
    kept.add("probe", [ping(5000.0)], moment=21.0)
    found = kept.during(18.0, 22.0)
    assert {name: [f.time for f in frames] for name, frames in found.items()} == {
        "observer": [20.0],
        "probe": [5000.0],
    }


def test_what_ended_just_before_a_test_is_not_of_it() -> None:
    now = [100.0]
    kept = Recordings(clock=lambda: now[0])
    # A capture of the test before, which ended 20 ms before this one began.
    kept.add("tunnels-1", [ping(99.9)], moment=99.98)
    # An observer whose clock is believed to be ahead tells of a packet of the test before.
    kept.add("observer", [ping(100.04)], slack=0.05)
    now[0] = 101.0
    kept.add("observer", [ping(99.5), ping(100.0), ping(100.8)], slack=0.05)
    kept.add("tunnels-2", [ping(100.9)], moment=101.0)
    found = kept.during(100.01, 101.0)
    assert {name: [f.time for f in frames] for name, frames in found.items()} == {
        "observer": [100.0, 100.8],
        "tunnels-2": [100.9],
    }


class OneNode:
    """A node whose clock is five seconds ahead, and an observer that has seen one packet."""

    def run(self, node: str, argv: object, *, input: str, timeout: float = 0.0) -> Result:
        now = time.time() + 5
        seen = recordings.pcapng([ping(now)])
        answer: object = base64.b64encode(seen).decode() if input == "take\n" else now
        return Result((), 0, json.dumps(answer), "", 0.0)


def test_an_observer_tells_how_well_it_knows_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Recordings()
    monkeypatch.setattr("pytest_kollalab.sdn.capture.watch.RECORDINGS", kept)
    watch = NodeWatch(OneNode(), "compute-1", "t")  # type: ignore[arg-type]
    watch.watch([("kl-t-a", "tap1")])
    assert abs(watch.ahead - 5) <= watch.unsure
    began = time.time()
    watch.pull()
    ((name, (frame,)),) = kept.during(began, time.time()).items()
    assert name == "compute-1-t-observer"
    assert abs(frame.time - began) < 5


def test_the_oldest_frames_go_first() -> None:
    kept = Recordings(limit=3 * len(PING))
    kept.add("observer", [ping(float(number)) for number in range(10)])
    assert [f.time for f in kept.during(0, 10)["observer"]] == [7.0, 8.0, 9.0]


def test_a_large_file_has_the_last_frames() -> None:
    large = [Frame(float(number), bytes(1000), 1000) for number in range(3000)]
    read = decode.read(recordings.pcapng(large))
    assert len(read) == 2000
    assert read[-1].time == 2999.0


def test_tcpdump_reads_the_file(tmp_path: Path) -> None:
    frames = [ping(1.5, "in"), Frame(2.0, PING[:38], 1400, "tap2", "out"), ping(3.0, "by")]
    path = tmp_path / "some.pcapng"
    path.write_bytes(recordings.pcapng(frames))
    read = subprocess.run(
        ["tcpdump", "-n", "-tt", "-r", path], capture_output=True, text=True, check=True
    )
    lines = read.stdout.splitlines()
    assert len(lines) == 3
    assert "1.500000" in lines[0]
    assert "10.0.0.1 > 10.0.0.2: ICMP echo request" in lines[0]
    assert decode.read(path.read_bytes()) == frames
