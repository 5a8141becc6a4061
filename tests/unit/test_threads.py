"""Threads: nothing goes on behind the back of who undoes what they made."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from pytest_kollalab.system.threads import Threads


def test_ctrl_c_waits_for_what_has_begun_and_leaves_out_the_rest() -> None:
    jobs, done = [], []

    def work(number: int) -> None:
        # Not before the main thread waits, and then longer than the signal takes to arrive.
        threading.Event().wait(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(0.5)
        done.append(number)

    with pytest.raises(KeyboardInterrupt), Threads(1) as pool:
        jobs += [pool.submit(work, number) for number in range(3)]
    assert done == [0]
    assert [job.cancelled() for job in jobs] == [False, True, True]


def test_what_is_not_interrupted_is_done() -> None:
    with Threads() as pool:
        jobs = [pool.submit(str, number) for number in range(3)]
    assert [job.result() for job in jobs] == ["0", "1", "2"]
