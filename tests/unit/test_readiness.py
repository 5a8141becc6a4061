"""Agents that came back, told from those of which only the database still knows."""

from __future__ import annotations

import datetime

from pytest_kollalab.stages.cloud.readiness import silent

RESTORED = datetime.datetime(2026, 5, 1, 12, 0, 0, 500, tzinfo=datetime.UTC)


def test_an_agent_counts_when_it_has_reported_since() -> None:
    told = {
        ("L3 agent", "controller-1"): "2026-05-01 11:59:59",
        ("Open vSwitch agent", "compute-1"): "2026-05-01 12:00:01",
        ("DHCP agent", "controller-1"): "2026-05-01 12:00:00.400000",
    }
    assert silent(told, told, RESTORED) == ["L3 agent of controller-1"]


def test_an_agent_that_is_not_there_is_silent() -> None:
    wanted = {("Metadata agent", "controller-1")}
    assert silent({}, wanted, RESTORED) == ["Metadata agent of controller-1"]
