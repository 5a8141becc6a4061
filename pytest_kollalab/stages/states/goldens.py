"""Golden states that outlive their lab. The next lab of the same name is rolled back to it."""

from __future__ import annotations

import datetime
import shutil
import time
from dataclasses import replace
from pathlib import Path

from pytest_kollalab.engine import owners, records
from pytest_kollalab.engine.engine import BUILD, Engine, Step
from pytest_kollalab.engine.records import Record
from pytest_kollalab.providers import retained
from pytest_kollalab.providers.base import NodesMade, RegistrySource
from pytest_kollalab.providers.retained import Retained
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.states.rollback import Rewind
from pytest_kollalab.stages.states.saves import GOLDEN, OWN, Save
from pytest_kollalab.system import files
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import KollalabError, StageError
from pytest_kollalab.system.paths import Paths

ROLLBACK = "rollback"


class RetainedGolden:
    """Retains the golden state of a lab that is removed, and brings the lab back from it.

    The folder of a retained state has copies of the lab's records. The engine compares them with
    the wanted lab to decide whether the state can be used.

    Args:
        rewind: Saves the lab and rolls it back.
        wanted: Whether to retain and use golden states. If false, all methods do nothing.
    """

    def __init__(self, rewind: Rewind, *, wanted: bool) -> None:
        self.wanted = wanted
        self.rewind = rewind
        self.engine = rewind.engine
        self.saves = rewind.saves
        self.provider = rewind.provider
        self._home = self.engine.paths.state
        self._lab = self.engine.paths.lab(self.engine.lab)

    @property
    def folder(self) -> Path:
        """The folder with records, keys and credentials of the retained state."""
        return Paths(self._home, retained.folder(self._home, self.engine.lab)).lab(self.engine.lab)

    def found(self) -> Retained | None:
        """The retained state, or None if it cannot be used.

        It can be used if the lab has no records and no stage of the state would be built anew.
        """
        saving, cloning = self.provider.saving, self.provider.cloning
        if not self.wanted or saving is None or cloning is None:
            return None
        there = retained.read(self._home, self.engine.lab)
        if there is None or there.provider != self.provider.name or self._has_records():
            return None
        if any(step.action == BUILD for step in self._asked().plan()):
            return None
        return there if there.label in saving.saved(self.engine.lab) else None

    def plan(self, steps: list[Step]) -> list[Step]:
        """Return the steps with `rollback` for the stages that the retained state replaces."""
        if not any(step.stage in OWN and step.action == BUILD for step in steps):
            return steps
        there = self.found()
        if there is None:
            return steps
        more = f", which has {' '.join(self._record('cloud').read(CloudMade).features)}"
        back = {
            "nodes": f"to the golden state of {there.made}",
            "cloud": f"to the golden state of {there.made}{more}",
        }
        return [
            replace(
                step, action=ROLLBACK, reason=back[step.stage], key=self._record(step.stage).key
            )
            if step.stage in back
            else step
            for step in steps
        ]

    def revive(self) -> None:
        """Bring the lab back from the retained state if it can be used.

        A state that does not become healthy is removed. The lab is then built as usual.
        """
        if self.found() is None:
            return
        registry = self.engine.ensure(ImagesMade).registry
        with self.engine.locked("roll back to the golden state"):
            if self.found() is None:
                return
            started = time.monotonic()
            try:
                self._revive(registry)
            except KollalabError as error:
                self.engine.say(f"the golden state is unusable: {error.brief}: {error.details}")
                self.engine.destroy()
                self.drop()
            else:
                seconds = time.monotonic() - started
                self.engine.say(f"cloud: rolled back to its golden state in {seconds:.0f} s")
            self.engine.forget()

    def keep(self) -> None:
        """Retain the golden state of the lab before it is destroyed, if the state is complete."""
        saving, cloning = self.provider.saving, self.provider.cloning
        if not self.wanted or saving is None or cloning is None:
            return
        cloud = self.engine.made(CloudMade)
        if cloud is not None and (cloud.upgraded_from or cloud.replayed):
            # A later lab is one of this release, and with these playbooks, from its beginning.
            return
        there = saving.saved(self.engine.lab)
        golden = [s for s in self.saves.list() if s.name == GOLDEN and s.cloud and s.label in there]
        if golden:
            self._keep(golden[-1])

    def drop(self) -> None:
        """Remove the retained state."""
        there = retained.read(self._home, self.engine.lab)
        retained.forget(self._home, self.engine.lab)
        if there is not None and there.provider == self.provider.name:
            self.saves.saving().clear(self.engine.lab, there.label)

    def _keep(self, golden: Save) -> None:
        old = retained.read(self._home, self.engine.lab)
        if old is not None and old.label == golden.label:
            # The lab that is removed now was made from it.
            files.used(retained.folder(self._home, self.engine.lab) / retained.FILE)
            return
        retained.forget(self._home, self.engine.lab)
        files.private(self.folder)
        shutil.copytree(self._lab / "nodes", self.folder / "nodes", symlinks=True)
        shutil.copytree(
            self.saves.folder / golden.label, self.folder / "saves" / golden.label, symlinks=True
        )
        shutil.copy2(self.saves.folder / f"{golden.label}.json", self.folder / "saves")
        shutil.copy2(self.saves.folder / golden.label / "cloud.json", self.folder)
        shutil.copy2(self._lab / "nodes.json", self.folder)
        point("golden:written")
        made = Retained(golden.label, golden.made, self.provider.name, golden.size)
        retained.write(self._home, self.engine.lab, made)
        point("golden:kept")

    def _revive(self, registry: RegistrySource) -> None:
        lab, nodes = self.engine.lab, self._record("nodes")
        since = datetime.datetime.now(datetime.UTC)
        tag = owners.tag(lab, "nodes", nodes.key, nodes.run, self._home)
        # Remove what an earlier run left if it was killed at this point.
        self.provider.destroy(lab)
        cloning = self.provider.cloning
        assert cloning is not None, "only what `found` has found is revived"
        cloning.connect(tag, nodes.read(NodesMade), registry)
        point("golden:connected")
        for name in ("nodes", "saves"):
            shutil.rmtree(self._lab / name, ignore_errors=True)
            shutil.copytree(self.folder / name, self._lab / name, symlinks=True)
        records.save(self._lab / "nodes.json", nodes)
        point("golden:nodes-recorded")
        self.saves.restore(GOLDEN)
        self.rewind.settle(since)

    def _asked(self) -> Engine:
        """An engine over the retained records, which treats what they list as present."""
        stages = tuple(self.engine.stages.values())
        home = retained.folder(self._home, self.engine.lab)
        paths = Paths(self.engine.paths.cache, home)
        run_id, fresh = self.engine.run_id, tuple(self.engine.fresh)
        return Engine(self.engine.lab, stages, paths, fresh=fresh, run_id=run_id, present=True)

    def _has_records(self) -> bool:
        return any((self._lab / f"{name}.json").exists() for name in OWN)

    def _record(self, stage: str) -> Record:
        record = records.load(self.folder / f"{stage}.json")
        if record is None:
            raise StageError(f"the golden state has no record of {stage}")
        return record
