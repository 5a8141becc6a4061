"""The echo that probes use, against itself on the loopback."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from pytest_kollalab.sdn.probe import EchoResult, echo_source

ADDRESS = "127.0.0.1"


@pytest.mark.parametrize(("protocol", "port"), [("tcp", 47131), ("udp", 47132)])
def test_the_text_comes_back_with_a_name(protocol: str, port: int) -> None:
    text = "x" * (50_000 if protocol == "tcp" else 1000)
    words = [protocol, ADDRESS, str(port)]
    with subprocess.Popen(
        [sys.executable, "-c", echo_source(), "listen", *words, "there"], stderr=subprocess.PIPE
    ) as listener:
        try:
            assert listener.stderr is not None
            assert listener.stderr.readline() == b"ready\n"
            done = subprocess.run(
                [sys.executable, "-", "ask", *words, "5", "0", text],
                input=echo_source(),
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
    done = subprocess.run(
        [sys.executable, "-", "ask", "tcp", ADDRESS, "47133", "5", "0", "hello"],
        input=echo_source(),
        capture_output=True,
        text=True,
        check=True,
    )
    result = EchoResult("hello", **json.loads(done.stdout))
    assert not result
    assert "refused" in result.error
