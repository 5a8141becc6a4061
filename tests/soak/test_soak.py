"""An hour of two labs at once: up, sessions, saves, rollbacks, kills, down, round after round.

`SOAK_MINUTES` is how long (60), `SOAK_SEED` which hour: a seed gives the same order of steps.
"""

from __future__ import annotations

import os
import random
import secrets
import sys
import time
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path

from tests import host_state
from tests.soak.life import Life, Step

LABS = ("soak-1", "soak-2")


def test_two_labs_for_an_hour(tmp_path: Path) -> None:
    minutes = float(os.environ.get("SOAK_MINUTES", "60"))
    seed = os.environ.get("SOAK_SEED") or secrets.token_hex(4)
    sys.stdout.write(f"SOAK_SEED={seed}, {minutes:.0f} minutes\n")
    before = host_state.look(*LABS)
    end = time.monotonic() + minutes * 60
    steps: list[Step] = []
    lives = [
        Life(name, tmp_path / name, tmp_path / "state", end, steps, random.Random(f"{seed} {name}"))
        for name in LABS
    ]
    with ThreadPoolExecutor() as pool:
        running = [pool.submit(life.live) for life in lives]
        done, _ = wait(running, return_when=FIRST_EXCEPTION)
        if any(each.exception() for each in done):
            for life in lives:
                life.until = 0
    failed = []
    for life, each in zip(lives, running, strict=True):
        if (error := each.exception()) is not None:
            failed.append(f"{error}")
            # What is wrong has been told; nothing stays.
            life.run("down", ("--discard-saved",))
    assert not failed, "\n\n".join(failed)
    assert list((tmp_path / "state" / "runs").iterdir()) == []

    host_state.await_same(before, *LABS)
    told = [step for step in steps if step.ended != "ok"]
    sys.stdout.write(f"{len(steps)} steps, {len(told)} of them ended in the middle\n")
