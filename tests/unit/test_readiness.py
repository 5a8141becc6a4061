"""Agents that came back, told from those of which only the database still knows."""

from __future__ import annotations

import datetime

from pytest_kollalab.stages.cloud.readiness import silent

RESTORED = datetime.datetime(2026, 5, 1, 12, 0, 0, 500, tzinfo=datetime.UTC)


def test_an_agent_counts_when_it_has_reported_since() -> None:
    told = {
        "L3 agent of controller-1": "2026-05-01 11:59:59",
        "Open vSwitch agent of compute-1": "2026-05-01 12:00:01",
        "DHCP agent of controller-1": "2026-05-01 12:00:00.400000",
    }
    assert silent(told, RESTORED) == ["L3 agent of controller-1"]
