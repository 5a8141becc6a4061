"""The rewind of a lab: saving it, rolling it back, and mending what a killed run left of either."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud import readiness
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.states.saves import GOLDEN, RESTORING, Save, Saves
from pytest_kollalab.system.errors import BusyError, KollalabError, StageError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.ssh import Ssh, close


class Rewind:
    """What saves a lab and rolls it back; making the object looks at nothing.

    `resolve` makes features of their names.
    """

    def __init__(
        self,
        engine: Engine,
        saves: Saves,
        lease: Lease,
        *,
        resolve: Callable[[Iterable[str]], Sequence[Feature]],
    ) -> None:
        self.engine = engine
        self.saves = saves
        self.provider = saves.provider
        self._lease = lease
        self.resolve = resolve

    def save(self, name: str, *, busy: bool = False) -> Save:
        """Save nodes and cloud as they are; `busy`: even while another run has the lab."""
        with self._changing(f"save {name}", busy=busy) as nodes:
            saving = self.saves.saving()
            ssh, names = Ssh(nodes.ssh_config), list(nodes.nodes)
            if saving.memory:
                readiness.give_back_memory(ssh, names)
            save = self.saves.save(name)
            if saving.own_clock:
                # They stood still for as long as it took.
                readiness.step_clocks(ssh, names)
        self.engine.say(f"saved {name} in {save.seconds:.0f} s")
        return save

    def rollback(self, name: str) -> Save:
        """Bring nodes and cloud back, and return when they are usable."""
        started = time.monotonic()
        with self._changing(f"roll back to {name}"):
            since = datetime.datetime.now(datetime.UTC)
            save = self.saves.restore(name)
            self.settle(since)
        self.engine.say(f"rolled back to {name} in {time.monotonic() - started:.0f} s")
        return save

    def clear(self, name: str) -> None:
        """Forget a saved state."""
        with self.engine.locked(f"clear {name}"):
            self.recover()
            self.saves.clear(name)

    def recover(self) -> None:
        """End what a run that was killed while it saved or rolled back has left half done."""
        if self.saves.unfinished() is None:
            return
        with self.engine.locked("finish what a killed run began"):
            since = datetime.datetime.now(datetime.UTC)
            doing = self.saves.finish()
            if doing is not None:
                what = f"{doing.what} {doing.save.name}"
                self.engine.say(f"a run was killed while it did: {what}; mended")
                # Nodes that were only saved have gone on: what they told before still holds.
                restored = doing.what == RESTORING
                self.settle(since if restored else None)

    def keep_golden(self) -> None:
        """Save a cloud that has just been built, while nobody else can have it yet.

        Others may wait for it, who hold the lab but not its lock. A cloud is worth having without
        a golden state: what hinders one is told, and is no failure.
        """
        if self.provider.saving is None:
            return
        try:
            self.save(GOLDEN, busy=True)
        except KollalabError as error:
            self.engine.say(f"no golden state is kept: {error.brief}: {error.details}")

    def whole(self) -> dict[Save, bool]:
        """The saved states, oldest first, and whether the provider still has all of each."""
        saves = self.saves.list()
        there = self.saves.saving().saved(self.engine.lab) if saves else []
        return {save: save.label in there for save in saves}

    @contextmanager
    def _changing(self, what: str, *, busy: bool = False) -> Iterator[NodesMade]:
        """Hold the lock for something during which nobody may use the nodes."""
        with self.engine.locked(what):
            if self._lease.others() and not busy:
                raise BusyError(
                    f"lab {self.engine.lab} is in use by another run",
                    details=f"to {what} would change its nodes under that one's feet",
                    hint="end that one first",
                )
            self.recover()
            nodes = self.engine.made(NodesMade)
            if nodes is None:
                raise StageError(
                    f"lab {self.engine.lab} has no nodes",
                    hint=f"kollalab up --name {self.engine.lab}",
                )
            # What is connected while a machine stands still may not be afterwards.
            close(nodes.ssh_config)
            yield nodes

    def settle(self, since: datetime.datetime | None) -> None:
        """Return when all is usable; `since`: when what runs there was started anew, if it was."""
        self.engine.forget()
        log = self.engine.log_path("nodes")
        # A lab that comes back from its golden state has nothing of the kind yet.
        log.parent.mkdir(parents=True, exist_ok=True)
        nodes, cloud = self.engine.made(NodesMade), self.engine.made(CloudMade)
        if nodes is not None:
            lab = self.engine.lab
            readiness.settle(lab, nodes, cloud, self.provider, self.resolve, log, since)
