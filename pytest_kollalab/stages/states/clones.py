"""The clone of a lab: nodes and cloud made from the golden state of another lab."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from pytest_kollalab.engine.engine import BUILD, Step
from pytest_kollalab.stages.states.saves import CLOUD, GOLDEN, OWN
from pytest_kollalab.stages.states.source import CloneSource

if TYPE_CHECKING:
    from pytest_kollalab.stages.states.rollback import Rewind

CLONE = "clone"


def source(rewind: Rewind) -> CloneSource | None:
    """The golden state of a lab as it is now; None when there is none."""
    cloud = rewind.records().get(CLOUD)
    golden = [s for s, whole in rewind.whole().items() if s.name == GOLDEN and whole and s.cloud]
    if cloud is None or not golden or golden[-1].cloud != cloud.run:
        return None
    lab = rewind.engine.lab
    return CloneSource(
        lab=lab,
        label=golden[-1].label,
        made=rewind.records()["nodes"].made,
        folder=rewind.saves.folder / golden[-1].label,
        features=rewind.resolve(cloud.made["features"]),
        held=partial(rewind.engine.locked, "be cloned"),
    )


def plan(steps: list[Step], lab: str) -> list[Step]:
    """The same steps, with cloning where that is what will happen."""
    if not lab:
        return steps
    return [
        replace(step, action=CLONE, reason=f"of lab {lab}: {step.reason}")
        if step.stage in OWN and step.action == BUILD
        else step
        for step in steps
    ]
