"""Replays the playbooks of features on the cloud of a lab, as it is, without new nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.records import READY
from pytest_kollalab.stages.cloud.stage import REPLAYED
from pytest_kollalab.system import digest
from pytest_kollalab.system.errors import ConfigError, KollalabError, StageError
from pytest_kollalab.system.nearest import nearest

if TYPE_CHECKING:
    from pytest_kollalab.engine.engine import Engine
    from pytest_kollalab.engine.records import Record
    from pytest_kollalab.engine.stage import Inputs
    from pytest_kollalab.features.base import Feature
    from pytest_kollalab.stages.cloud.made import CloudMade
    from pytest_kollalab.stages.cloud.wanted import WantedCloud
    from pytest_kollalab.stages.states.rollback import Rewind

SHOWN = 5
# How a session gets a lab as it is wanted, if a replay cannot make it so.
WITHOUT = "run pytest without --kollalab-replay"


class Replay:
    """Replays playbooks of features on the cloud of a lab. Creating the object does no I/O.

    What these playbooks did before stays, unless they undo it themselves. So the lab is not what a
    new one would be: its record says so, and nothing of it is kept for labs to come.

    Args:
        rewind: Saves the lab and rolls it back.
        cloud: The cloud that the lab has, with all its features.
        names: The names of the features.
    """

    def __init__(self, rewind: Rewind, cloud: WantedCloud, names: Sequence[str]) -> None:
        self.rewind = rewind
        self.engine: Engine = rewind.engine
        self.cloud = cloud
        self.names = tuple(dict.fromkeys(names))

    def check(self, record: Record | None) -> None:
        """Check that a replay makes the lab what is wanted now.

        Args:
            record: The record of the cloud.

        Raises:
            ConfigError: The lab has no such feature, or it has no playbooks; or more has changed
                than what a replay brings.
            StageError: The lab has no cloud.
        """
        lab = self.engine.lab
        if record is None or not (record.status == READY or REPLAYED in record.inputs):
            state = "is not whole" if record is not None else "is not there"
            raise StageError(
                f"the cloud of lab {lab} {state}",
                details="no build of it has succeeded",
                hint=f"{WITHOUT}, or kollalab up --name {lab}, which builds it",
            )
        there = {feature.name: feature for feature in self.cloud.features}
        for name in self.names:
            if name not in there:
                raise ConfigError(
                    f"lab {lab} has no feature {name}, whose playbooks could be replayed",
                    details=f"it has {' '.join(there)}",
                    hint=nearest(name, there, f"{WITHOUT}, which builds the lab anew with it"),
                )
            if not there[name].playbooks:
                raise ConfigError(
                    f"the feature {name} has no playbooks to replay",
                    hint=f"{WITHOUT}: there is nothing that would have to run again",
                )
        wanted = self.engine.stages["cloud"].inputs()
        changed = self._changed(record.inputs, wanted, [there[name] for name in self.names])
        if changed:
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            raise ConfigError(
                f"more of lab {lab} has changed than a replay of {' '.join(self.names)} brings",
                details=", ".join(changed[:SHOWN]) + more,
                hint="a replay brings playbooks, settings and images of the features that are "
                f"named; for the rest the lab is built anew: {WITHOUT}, or kollalab up --name "
                f"{lab}",
            )

    def run(self) -> None:
        """Replay the playbooks and wait until the cloud is healthy.

        Does nothing if a process of this run has done so.

        Raises:
            StageError: A task failed, or the cloud does not become healthy.
            BusyError: Another run uses the lab.
        """
        from pytest_kollalab.stages.cloud.making import Making

        told = " ".join(self.names)
        with self.rewind.changing(f"replay {told}"):
            record = self.engine.record("cloud")
            if record is None:
                return
            if record.run == self.engine.run_id and REPLAYED in record.inputs:
                if record.status == READY:
                    return
                raise StageError(f"the replay of {told} failed in another process of this session")
            replayed = sorted({*record.inputs.get(REPLAYED, ()), *self.names})

            def create(work: Any) -> CloudMade:
                return Making(self.cloud).replay(work, self.names, tuple(replayed))

            try:
                self.engine.rework(
                    "cloud", create, f"replay the playbooks of {told}", marks={REPLAYED: replayed}
                )
            except KollalabError as error:
                raise StageError(
                    f"the replay of {told} on lab {self.engine.lab} failed: {error.brief}",
                    details=error.details,
                    hint=f"mend it and replay again{self._back()}; anything else builds the lab "
                    "anew",
                    log=error.log,
                ) from error
            # A rollback to the former one would bring back what the former playbooks did.
            self.rewind.renew_golden()

    def _back(self) -> str:
        from pytest_kollalab.stages.states.saves import GOLDEN

        lab = self.engine.lab
        if not any(save.name == GOLDEN for save in self.rewind.saves.list()):
            return ""
        return f", or go back with `kollalab rollback {GOLDEN} --name {lab}`"

    def _changed(self, recorded: Inputs, wanted: Inputs, features: Iterable[Feature]) -> list[str]:
        """What differs between two inputs beside what a replay of features brings."""
        folders = {path for feature in features for path in feature.images_from}
        images = {
            name for each in self.cloud.folders if each.path in folders for name in each.names
        }
        before, after = (_other(each, self.names, images) for each in (recorded, wanted))
        return list(digest.changes(before, after))


def _other(inputs: Inputs, names: Collection[str], images: Collection[str]) -> dict[str, Any]:
    """Inputs without what belongs to features alone.

    Args:
        inputs: The inputs of a cloud.
        names: The names of the features.
        images: The names of their images.
    """

    def left(part: str) -> dict[str, Any]:
        found = inputs.get(part, {})
        if part == "playbooks":
            return {n: each for n, each in found.items() if n.partition("/")[0] not in names}
        return {n: each for n, each in found.items() if n not in (*names, *images)}

    rest = {name: value for name, value in inputs.items() if name != REPLAYED}
    rest["features"] = sorted(inputs.get("features", ()))
    return rest | {part: left(part) for part in ("playbooks", "settings", "images")}
