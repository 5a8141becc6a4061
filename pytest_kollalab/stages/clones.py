"""The clone of a lab: nodes and cloud made from the golden state of another lab."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab import state
from pytest_kollalab.cloud import moved, passwords
from pytest_kollalab.engine import BUILD, Step
from pytest_kollalab.features import Feature
from pytest_kollalab.providers import NETWORKS, Origin
from pytest_kollalab.stages.saves import CLOUD, GOLDEN, OWN

if TYPE_CHECKING:
    from pytest_kollalab.stages.rewind import Rewind

CLONE = "clone"


@dataclass(frozen=True)
class Source:
    """A golden state that nodes can be made from.

    `made` is what the other lab's nodes are, `folder` where its cloud's record and files are, and
    `held` keeps others from changing that lab.
    """

    lab: str
    label: str
    made: Mapping[str, Any]
    folder: Path
    features: Sequence[Feature]
    held: Callable[[], AbstractContextManager[None]]

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes, in the order of their addresses."""
        nodes = self.made["nodes"]
        return tuple(sorted(nodes, key=lambda name: IPv4Address(nodes[name][NETWORKS[0]])))

    def origin(self) -> Origin:
        """The same for a provider."""
        secrets = passwords.read(self.folder / CLOUD / "etc" / "passwords.yml")
        files = partial(moved.files, self.features, str(secrets["database_password"]))
        return Origin(self.lab, self.label, self.made, files)

    def keep(self, folder: Path) -> dict[str, str]:
        """Copy what the stage `cloud` will need; returns what that finds it by."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        shutil.copy2(self.folder / f"{CLOUD}.json", folder)
        shutil.copytree(self.folder / CLOUD / "etc", folder / "etc")
        return {"lab": self.lab, "folder": str(folder), "since": state.now()}


def source(rewind: Rewind) -> Source | None:
    """The golden state of a lab as it is now; None when there is none."""
    cloud = rewind.records().get(CLOUD)
    golden = [s for s, whole in rewind.whole().items() if s.name == GOLDEN and whole and s.cloud]
    if cloud is None or not golden or golden[-1].cloud != cloud.run:
        return None
    lab = rewind.engine.lab
    return Source(
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
