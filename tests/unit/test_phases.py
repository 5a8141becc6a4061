"""Strands: order, side by side, and the end of all when one fails."""

import threading
import time

import pytest

from pytest_kollalab.stages.cloud import phases
from pytest_kollalab.stages.cloud.phases import Phase
from pytest_kollalab.system.errors import StageError


def test_compute_has_a_phase_only_when_it_is_deployed() -> None:
    names = [phase.name for phase in phases.plan({"enable_nova": False})]
    assert names == ["common", "messaging", "identity", "switches", "network"]
    assert "compute" in [phase.name for phase in phases.plan({"enable_nova": True})]


def test_heat_and_tacker_have_a_phase_only_when_they_are_deployed() -> None:
    (phase,) = (phase for phase in phases.PHASES if phase.name == "orchestration")
    assert phase.tags == ("heat", "tacker")
    assert phase not in phases.plan({"enable_heat": False, "enable_nova": True})
    assert phase in phases.plan({"enable_heat": True})


def test_placement_is_deployed_beside_nova_from_its_start() -> None:
    variables = dict.fromkeys(("enable_nova", "enable_placement", "enable_glance"), True)
    begun: list[str] = []
    ended: list[str] = []
    compute = threading.Event()

    def run(phase: Phase, _stop: threading.Event) -> None:
        begun.append(phase.name)
        if phase.name == "compute":
            compute.wait(10)
        elif phase.name == "placement":
            ended.extend(begun)
            compute.set()

    phases.run_phases(phases.plan(variables), run)
    assert "placement" in ended
    assert "network" not in ended
    assert "images" not in ended


def test_every_phase_waits_for_known_ones() -> None:
    names = [phase.name for phase in phases.PHASES]
    for phase in phases.PHASES:
        assert set(phase.after) <= set(names[: names.index(phase.name)])


def test_phases_wait_for_those_before() -> None:
    ended: list[str] = []
    wanted = [Phase("a", ()), Phase("b", (), after=("a",)), Phase("c", (), after=("a", "b"))]
    phases.run_phases(wanted, lambda phase, _stop: ended.append(phase.name))
    assert ended == ["a", "b", "c"]


def test_phases_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=60)

    def run(_phase: Phase, _stop: threading.Event) -> None:
        meeting.wait()

    phases.run_phases([Phase("a", ()), Phase("b", ())], run)


def test_a_failure_stops_the_others_and_starts_no_more() -> None:
    begun: list[str] = []

    def run(phase: Phase, stop: threading.Event) -> None:
        begun.append(phase.name)
        if phase.name == "bad":
            raise StageError("bad failed")
        assert stop.wait(60)

    wanted = [Phase("bad", ()), Phase("long", ()), Phase("later", (), after=("long",))]
    started = time.monotonic()
    with pytest.raises(StageError, match="bad failed"):
        phases.run_phases(wanted, run)
    assert time.monotonic() - started < 30
    assert sorted(begun) == ["bad", "long"]


def test_tags_of_all() -> None:
    assert phases.tags([Phase("a", ("x", "y")), Phase("b", ("z",))]) == ("x", "y", "z")
