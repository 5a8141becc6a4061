"""Signals: the first ends politely, the second at once, and a removal is not interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from pytest_kollalab.system.signals import Signals, uninterrupted

TWICE = """
import os, signal, sys
from pytest_kollalab.system.signals import Signals, uninterrupted
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


# Under nohup, the tests' own children would ignore a terminal that is closed.
PYTHON = ("env", "--default-signal=HUP", sys.executable)


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


ORDERLY = """
import os, signal, sys
from pytest_kollalab.cli.orderly import orderly
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import Options
lab = Lab(options=Options(name=sys.argv[2]))
with orderly(lab, makes=sys.argv[3] != "waits"):
    if sys.argv[3] == "builds":
        lab.engine.was_locked = True
    os.kill(os.getpid(), int(sys.argv[1]))
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    ("name", "command"), [("lab", "kollalab down\n"), ("mine", "kollalab down --name mine\n")]
)
def test_a_verb_that_is_stopped_says_how_to_clean_up(
    kind: signal.Signals, name: str, command: str
) -> None:
    done = subprocess.run(
        [*PYTHON, "-c", ORDERLY, str(int(kind)), name, "builds"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 128 + kind
    assert "stopping; unfinished changes are undone; once more stops at once" in done.stderr
    assert done.stderr.endswith(command)


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("waits", "stopped; lab mine stays: `kollalab show --name mine` tells what it is\n"),
        ("begins", "stopped before anything of lab mine was changed\n"),
    ],
)
def test_a_verb_that_made_nothing_does_not_advise_to_remove_the_lab(does: str, told: str) -> None:
    number = str(int(signal.SIGTERM))
    done = subprocess.run(
        [*PYTHON, "-c", ORDERLY, number, "mine", does], capture_output=True, text=True, check=False
    )
    assert done.stderr.endswith(told)
    assert "kollalab down" not in done.stderr


@pytest.fixture
def usual() -> Iterator[None]:
    """SIGINT does what it does in Python, whatever it did in the test before."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("usual")
def test_a_lab_that_is_not_used_needs_no_end() -> None:
    signals = Signals("ending", "x", used=lambda: False)
    signals.install()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    assert signals.seen == 0


CLOSED = """
import os, signal, sys
from pytest_kollalab.system.signals import Signals, uninterrupted
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.close(2)
signals = Signals("ending", "kollalab down")
signals.install()
try:
    os.kill(os.getpid(), signal.SIGHUP)
    print("went on")
except KeyboardInterrupt:
    os.kill(os.getpid(), signal.SIGHUP)
    print("ended in order")
"""


@pytest.mark.parametrize(("how", "said"), [("", "ended in order\n"), ("nohup", "went on\n")])
def test_a_terminal_that_is_closed_sends_several_signals_and_takes_no_message(
    how: str, said: str
) -> None:
    done = subprocess.run([*PYTHON, "-c", CLOSED, how], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, said)


@pytest.fixture
def handled(pipe: tuple[int, int]) -> Iterator[Signals]:
    signals = Signals("ending", "x", handle=pipe[1])
    signals.install()
    yield signals
    signals.restore()


@pytest.mark.usefixtures("handled")
def test_what_is_made_and_noted_is_not_torn_apart() -> None:
    done: list[str] = []

    def make() -> None:
        with uninterrupted(), uninterrupted():
            os.kill(os.getpid(), signal.SIGTERM)
            done.append("made")
            done.append("noted")

    with pytest.raises(KeyboardInterrupt):
        make()
    assert done == ["made", "noted"]
    with uninterrupted():
        # It has waited once, and is over.
        done.append("later")


@pytest.mark.usefixtures("handled")
def test_after_such_a_block_a_signal_does_not_wait() -> None:
    with uninterrupted():
        pass
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.usefixtures("handled")
def test_a_thread_does_not_keep_a_signal_from_the_main_one() -> None:
    inside, go = threading.Event(), threading.Event()

    def make() -> None:
        with uninterrupted():
            inside.set()
            go.wait()

    thread = threading.Thread(target=make)
    thread.start()
    inside.wait()
    try:
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        go.set()
        thread.join()


SECOND = """
import os, signal
from pytest_kollalab.system.signals import Signals, uninterrupted
Signals("ending", "kollalab down").install()
with uninterrupted():
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)
    print("never seen", flush=True)
"""


def test_the_second_signal_does_not_wait() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SECOND], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "")
