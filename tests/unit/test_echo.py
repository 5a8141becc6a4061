"""The echo that probes use, against itself on the loopback."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from pytest_kollalab.sdn import on_nodes
from pytest_kollalab.sdn.probe.probe import EchoResult

ADDRESS = "127.0.0.1"


def free_port(kind: socket.SocketKind) -> str:
    """A port that nobody has: any fixed one may be somebody's."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((ADDRESS, 0))
        return str(probe.getsockname()[1])


@pytest.mark.parametrize(
    ("protocol", "kind"), [("tcp", socket.SOCK_STREAM), ("udp", socket.SOCK_DGRAM)]
)
def test_the_text_comes_back_with_a_name(protocol: str, kind: socket.SocketKind) -> None:
    text = "x" * (50_000 if protocol == "tcp" else 1000)
    words = [protocol, ADDRESS, free_port(kind)]
    with subprocess.Popen(
        [sys.executable, "-c", on_nodes.source("echo"), "listen", *words, "there"],
        stderr=subprocess.PIPE,
    ) as listener:
        try:
            assert listener.stderr is not None
            assert listener.stderr.readline() == b"ready\n"
            done = subprocess.run(
                [sys.executable, "-", "ask", *words, "60", "0", text],
                input=on_nodes.source("echo"),
                capture_output=True,
                text=True,
                check=True,
            )
        finally:
            listener.terminate()
    result = EchoResult(text, **json.loads(done.stdout))
    assert result
    assert result.name == "there"


def test_nobody_there() -> None:
    port = free_port(socket.SOCK_STREAM)
    done = subprocess.run(
        [sys.executable, "-", "ask", "tcp", ADDRESS, port, "60", "0", "hello"],
        input=on_nodes.source("echo"),
        capture_output=True,
        text=True,
        check=True,
    )
    result = EchoResult("hello", **json.loads(done.stdout))
    assert not result
    assert "refused" in result.error
