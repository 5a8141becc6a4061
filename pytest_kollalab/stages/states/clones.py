"""Clones: nodes and cloud made from the golden state of another lab."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_kollalab.engine.engine import BUILD, Step
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.states.saves import CLOUD, GOLDEN, OWN
from pytest_kollalab.stages.states.source import CloneSource

if TYPE_CHECKING:
    from pytest_kollalab.stages.states.rollback import Rewind

CLONE = "clone"


def source(rewind: Rewind) -> CloneSource | None:
    """Return the golden state of a lab's current cloud, or None if there is none."""
    record = rewind.engine.record(CLOUD)
    nodes, cloud = rewind.engine.made(NodesMade), rewind.engine.made(CloudMade)
    golden = [s for s, whole in rewind.whole().items() if s.name == GOLDEN and whole and s.cloud]
    if record is None or nodes is None or cloud is None or cloud.replayed:
        # A clone is as a new lab would be.
        return None
    if not golden or golden[-1].cloud != record.run:
        return None
    return CloneSource(
        lab=rewind.engine.lab,
        label=golden[-1].label,
        made=nodes,
        folder=rewind.saves.folder / golden[-1].label,
        features=rewind.resolve(cloud.features),
        held=partial(rewind.engine.locked, "be cloned"),
    )


def plan(steps: list[Step], lab: str) -> list[Step]:
    """Return the steps with `clone` instead of `build` for the stages that are cloned."""
    return [
        replace(step, action=CLONE, reason=f"of lab {lab}: {step.reason}")
        if step.stage in OWN and step.action == BUILD
        else step
        for step in steps
    ]
