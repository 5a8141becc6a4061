"""A real lab with Tacker, which goes back to a saved state while a VNF is instantiated."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import host_state
from tests.crash.census import Trail, take
from tests.deploy.outside import Sessions, passed

LAB = "vnf"
FILE = Path(__file__).with_name("vnf_rolled_back.py")


@pytest.fixture
def sessions(tmp_path: Path) -> Iterator[Sessions]:
    made = Sessions(tmp_path, tmp_path / "state", LAB)
    yield made
    made.stop()
    made.start(f"--kollalab-name={LAB}", "--kollalab-destroy").end()


def test_a_lab_is_rolled_back_while_an_operation_runs(sessions: Sessions) -> None:
    before = host_state.look(LAB)
    trail = Trail(f"kollalab.lab={LAB}", (sessions.state / "labs" / LAB,))
    session = sessions.at_the_lab(str(FILE), keep="never", toml='features = ["tacker"]\n')
    passed(session, ["2 passed"])
    assert not any(take(trail).values())
    host_state.await_same(before, LAB)
