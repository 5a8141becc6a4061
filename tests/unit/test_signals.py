"""Signals: the first ends politely, the second at once, and a removal is not interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pytest_kollalab.signals import Signals

TWICE = """
import os, signal, sys
from pytest_kollalab.signals import Signals
signals = Signals("ending", "kollalab down")
signals.install()
number = int(sys.argv[1])
try:
    os.kill(os.getpid(), number)
except KeyboardInterrupt:
    print("interrupted", flush=True)
try:
    os.kill(os.getpid(), number)
finally:
    print("never seen", flush=True)
"""


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_the_first_interrupts_and_the_second_ends_the_process(kind: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(int(kind))], capture_output=True, text=True, check=False
    )
    assert done.returncode == 128 + kind
    assert done.stdout == "interrupted\n"
    assert "ending; once more stops at once" in done.stderr
    assert "again: stopped. kollalab down" in done.stderr


def test_a_removal_goes_on(pipe: tuple[int, int]) -> None:
    passed: list[int] = []
    signals = Signals("ending", "x", handle=pipe[1], pass_on=passed.append)
    before = signal.getsignal(signal.SIGTERM)
    signals.install()
    try:
        signals.removing = True
        os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signals.restore()
    assert signal.getsignal(signal.SIGTERM) is before
    assert os.read(pipe[0], 1000) == b"\nkollalab: SIGTERM: ending; once more stops at once\n"
    assert passed == [signal.SIGTERM]
    assert signals.last == signal.SIGTERM
