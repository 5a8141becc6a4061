"""What a watch of traffic costs: ten streams on the loopback of this host, as root.

python -m benchmarks.traffic                 processor time of ten streams for half a minute
python -m benchmarks.traffic --seconds 120

Four streams of pings, four of UDP and two of TCP, and a capture that looks at all of them, as at a
service function. What docker and Open vSwitch tell is followed where they run.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pytest_kollalab.sdn import on_nodes
from pytest_kollalab.sdn.traffic.watch import BRIDGES, INTERVAL, unpacked

ADDRESS = "127.0.0.1"
KINDS = ("ping", "udp", "ping", "udp", "tcp") * 2
PORT = 19701
LIMIT = 0.05


def plan() -> dict[str, Any]:
    """What the program on a node would be given."""
    streams = [
        {"id": number, "kind": kind, "namespace": "-", "port": PORT + number, "ident": number + 1}
        for number, kind in enumerate(KINDS)
    ]
    pings = [number for number, kind in enumerate(KINDS) if kind == "ping"]
    place = {"place": "lo", "namespace": "-", "devices": ["lo"], "macs": [], "pings": pings}
    return {
        "mark": secrets.token_hex(8),
        "interval": INTERVAL,
        "send": [{**each, "source": ADDRESS, "address": ADDRESS} for each in streams],
        "receive": [each for each in streams if each["kind"] != "ping"],
        "capture": [place],
        "docker": True,
        "bridges": BRIDGES,
    }


def ask(folder: Path, word: str) -> Any:
    """Ask the program."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(folder / "socket"))
        asking.sendall(f"{word}\n".encode())
        return json.loads(b"".join(iter(lambda: asking.recv(65536), b"")))


def measure(seconds: float) -> dict[str, Any]:
    """What the program recorded of so many seconds."""
    with tempfile.TemporaryDirectory(prefix="kollalab-benchmark-") as name:
        folder = Path(name)
        (folder / "plan.json").write_text(json.dumps(plan()))
        (folder / "traffic.py").write_text(on_nodes.source("traffic"))
        argv = [sys.executable, "-u", "traffic.py", "plan.json"]
        with subprocess.Popen(argv, cwd=folder, stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            try:
                said = process.stderr.readline()
                if said != b"ready\n":
                    raise SystemExit((said + process.stderr.read()).decode())
                # What starts beside it has started.
                time.sleep(2)
                ask(folder, "go")
                time.sleep(seconds)
                ask(folder, "cease")
                time.sleep(1)
                answer: dict[str, Any] = ask(folder, "take")
            finally:
                process.terminate()
    return answer


def main() -> None:
    """Measure, and print what it took."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    given = parser.parse_args()
    answer = measure(given.seconds)
    share = answer["processor"] / answer["elapsed"]
    sent = sum(len(unpacked(each["times"], "q")) for each in answer["sent"].values())
    arrived = sum(len(unpacked(each["numbers"], "I")) for each in answer["arrived"].values())
    print(f"{len(KINDS)} streams for {answer['elapsed'] / 1e9:.0f} s on {os.cpu_count()} cores")
    print(f"sent {sent}, arrived {arrived}, left out {answer['skipped']} times")
    print(f"processor: {share:.1%} of one (at most {LIMIT:.0%})")


if __name__ == "__main__":
    main()
