"""Recordings: which frames are kept for a failure, and the files that they become."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pytest_kollalab.sdn.capture import decode, recordings
from pytest_kollalab.sdn.capture.packets import Frame
from pytest_kollalab.sdn.capture.recordings import Recordings

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
