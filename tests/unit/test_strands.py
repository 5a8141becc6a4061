"""Strands: order, side by side, and the end of all when one fails."""

import threading
import time

import pytest

from pytest_kollalab.stages.cloud import phases
from pytest_kollalab.stages.cloud.phases import Strand
from pytest_kollalab.system.errors import StageError


def test_compute_has_a_strand_only_when_it_is_deployed() -> None:
    names = [strand.name for strand in phases.plan({"enable_nova": False})]
    assert names == ["common", "messaging", "identity", "switches", "network"]
    assert "compute" in [strand.name for strand in phases.plan({"enable_nova": True})]


def test_placement_is_deployed_beside_nova_from_its_start() -> None:
    variables = dict.fromkeys(("enable_nova", "enable_placement", "enable_glance"), True)
    begun: list[str] = []
    ended: list[str] = []
    compute = threading.Event()

    def run(strand: Strand, _stop: threading.Event) -> None:
        begun.append(strand.name)
        if strand.name == "compute":
            compute.wait(10)
        elif strand.name == "placement":
            ended.extend(begun)
            compute.set()

    phases.weave(phases.plan(variables), run)
    assert "placement" in ended
    assert "network" not in ended
    assert "images" not in ended


def test_every_strand_waits_for_known_ones() -> None:
    names = [strand.name for strand in phases.STRANDS]
    for strand in phases.STRANDS:
        assert set(strand.after) <= set(names[: names.index(strand.name)])


def test_strands_wait_for_those_before() -> None:
    ended: list[str] = []
    wanted = [Strand("a", ()), Strand("b", (), after=("a",)), Strand("c", (), after=("a", "b"))]
    phases.weave(wanted, lambda strand, _stop: ended.append(strand.name))
    assert ended == ["a", "b", "c"]


def test_strands_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=60)

    def run(_strand: Strand, _stop: threading.Event) -> None:
        meeting.wait()

    phases.weave([Strand("a", ()), Strand("b", ())], run)


def test_a_failure_stops_the_others_and_starts_no_more() -> None:
    begun: list[str] = []

    def run(strand: Strand, stop: threading.Event) -> None:
        begun.append(strand.name)
        if strand.name == "bad":
            raise StageError("bad failed")
        assert stop.wait(60)

    wanted = [Strand("bad", ()), Strand("long", ()), Strand("later", (), after=("long",))]
    started = time.monotonic()
    with pytest.raises(StageError, match="bad failed"):
        phases.weave(wanted, run)
    assert time.monotonic() - started < 30
    assert sorted(begun) == ["bad", "long"]


def test_tags_of_all() -> None:
    assert phases.tags([Strand("a", ("x", "y")), Strand("b", ("z",))]) == ("x", "y", "z")
