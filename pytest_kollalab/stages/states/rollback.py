"""Saves a lab, rolls it back, and completes what a killed run left unfinished."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from pytest_kollalab.engine import owners
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.stages.cloud import readiness
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.states.saves import DEPLOY, GOLDEN, RESTORING, Save, Saves, of_user
from pytest_kollalab.system import files
from pytest_kollalab.system.errors import (
    BusyError,
    ConfigError,
    KollalabError,
    StageError,
    as_message,
)
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.ssh import Ssh, close


class Rewind:
    """Saves a lab and rolls it back. Creating the object does no I/O.

    Args:
        engine: The engine of the lab.
        saves: The saved states of the lab.
        lease: The lease on the lab.
        resolve: Returns the features with these names in a release. An empty release stands for
            the configured one.
    """

    def __init__(
        self,
        engine: Engine,
        saves: Saves,
        lease: Lease,
        *,
        resolve: Callable[[Iterable[str], str], Sequence[Feature]],
    ) -> None:
        self.engine = engine
        self.saves = saves
        self.provider = saves.provider
        self._lease = lease
        self._resolve = resolve

    def resolve(self, names: Iterable[str]) -> Sequence[Feature]:
        """The features with these names, in the release that the cloud has.

        After an upgrade, a rollback may bring back a cloud of another release than the configured
        one.
        """
        record = self.engine.record("cloud")
        release = record.inputs.get("release", "") if record is not None else ""
        return self._resolve(names, str(release))

    def save(self, name: str, *, busy: bool = False, by: str = "") -> Save:
        """Save the current state of nodes and cloud.

        Args:
            name: The name of the saved state.
            busy: Save even if another run has a lease on the lab.
            by: Who saves it. The default is this run.
        """
        with self.changing(f"save {name}", busy=busy) as nodes:
            saving = self.saves.saving()
            ssh, names = Ssh(nodes.ssh_config), list(nodes.nodes)
            if saving.memory:
                readiness.give_back_memory(ssh, names)
            save = self.saves.save(name, by or self.engine.run_id)
            if saving.own_clock:
                # The clocks of the nodes stood still while they were saved.
                readiness.step_clocks(ssh, names)
        self.engine.say(f"saved {name} in {save.seconds:.0f} s")
        return save

    def rollback(self, name: str) -> Save:
        """Bring nodes and cloud back to a saved state and wait until they are usable."""
        started = time.monotonic()
        with self.changing(f"roll back to {name}"):
            since = datetime.datetime.now(datetime.UTC)
            if self.saves.unfinished() is None:
                # A wrong name is told before anything is started.
                self.saves.saving()
                self.saves.find(name)
            self._start(nodes=False)
            save = self.saves.restore(name)
            self.settle(since)
        self.engine.say(f"rolled back to {name} in {time.monotonic() - started:.0f} s")
        return save

    def clear(self, name: str) -> None:
        """Remove a saved state."""
        with self.engine.locked(f"clear {name}", removes=True):
            self.recover()
            self.saves.clear(name)

    def recover(self) -> None:
        """Complete or undo the save or rollback that a killed run left unfinished."""
        if self.saves.unfinished() is None:
            return
        with self.engine.locked("finish what a killed run began"):
            since = datetime.datetime.now(datetime.UTC)
            doing = self.saves.finish()
            if doing is not None:
                what = f"{doing.what} {doing.save.name}"
                self.engine.say(f"a run was killed during {what}; repaired")
                # Nodes that were only saved were not restarted, so earlier agent reports count.
                restored = doing.what == RESTORING
                self._start()
                self.settle(since if restored else None)

    def keep_golden(self) -> None:
        """Save a cloud that was just built as the golden state, before any test uses it.

        Other runs may have a lease on the lab, but they wait for its lock. If saving fails, the
        reason is shown and the cloud is used without a golden state.
        """
        if self.provider.saving is None:
            return
        if any(save.name == GOLDEN for save in of_user(self.saves.root)):
            self.engine.say(f"no golden state is kept: a state {GOLDEN} was saved by a user")
            return
        try:
            self.save(GOLDEN, busy=True, by=DEPLOY)
        except Exception as error:  # noqa: BLE001 - the cloud is healthy, whatever this is
            told = as_message(error)
            brief = told.brief if isinstance(told, KollalabError) else type(told).__name__
            details = told.details if isinstance(told, KollalabError) else str(told)
            self.engine.say(f"no golden state is kept: {brief}: {details}")

    def renew_golden(self) -> None:
        """Replace the golden state, which would bring back the cloud before a change in place."""
        if any(save.name == GOLDEN and save.is_automatic for save in self.saves.list()):
            # Before the new one: that may fail, and nobody wants the old one then.
            self.saves.clear(GOLDEN)
        self.keep_golden()

    def wake(self) -> None:
        """Start nodes, networks and registry that do not run, and wait until they are usable.

        So they are after a reboot of the host. If they do not become usable, they are built anew,
        unless somebody saved a state of them.

        Raises:
            StageError: They do not become usable, and there are saved states of them.
        """
        if not self.engine.halted("nodes"):
            return
        with self.engine.locked("start what does not run"):
            halted = self.engine.halted("nodes")
            if not halted:
                return
            self.engine.say(f"nodes: starting {', '.join(halted)}, which did not run")
            since = datetime.datetime.now(datetime.UTC)
            try:
                self._start()
                self.settle(since)
            except KollalabError as error:
                self._not_awake(error)

    def _start(self, *, nodes: bool = True) -> None:
        """Start what does not run; with `nodes` false only what nodes need."""
        record, made = self.engine.record("nodes"), self.engine.made(NodesMade)
        if record is None or made is None:
            return
        images = self.engine.made(ImagesMade)
        tag = owners.tag(self.engine.lab, "nodes", record.key, record.run, self.engine.paths.state)
        self.provider.start(tag, made, images.registry if images else None, nodes=nodes)

    def _not_awake(self, error: KollalabError) -> None:
        kept = of_user(self.saves.root)
        if kept:
            name = self.engine.lab
            raise StageError(
                f"the nodes of lab {name} were started and are not usable",
                details=f"{error.brief}\n{error.details}",
                hint=f"kollalab rollback {kept[-1].name} --name {name} brings back a saved state; "
                f"kollalab up --name {name} --fresh nodes --discard-saved builds it anew, without "
                "saved states",
                log=error.log,
            ) from error
        self.engine.say(f"nodes: not usable after their start: {error.brief}: {error.details}")
        self.engine.spoil("nodes", error.brief)

    def whole(self) -> dict[Save, bool]:
        """The saved states, oldest first, each with whether the provider still has all of it."""
        saves = self.saves.list()
        there = self.saves.saving().saved(self.engine.lab) if saves else []
        return {save: save.label in there for save in saves}

    @contextmanager
    def changing(self, what: str, *, busy: bool = False) -> Iterator[NodesMade]:
        """Hold the lab's lock for an operation during which no other run may use the nodes."""
        with self.engine.locked(what):
            if self._lease.others() and not busy:
                raise BusyError(
                    f"lab {self.engine.lab} is in use by another run",
                    details=f"it is used by {self._lease.users()}; to {what} would change the "
                    "nodes meanwhile",
                    hint="end that run first",
                )
            self.recover()
            nodes = self.engine.made(NodesMade)
            if nodes is None:
                raise StageError(
                    f"lab {self.engine.lab} has no nodes",
                    hint=f"kollalab up --name {self.engine.lab}",
                )
            files.used(self.engine.paths.lab(self.engine.lab))
            # Connections may break while a machine is paused.
            close(nodes.ssh_config)
            yield nodes

    def settle(self, since: datetime.datetime | None) -> None:
        """Wait until nodes and cloud are usable.

        Args:
            since: When the nodes were restored, in UTC. None if they were not.
        """
        self.engine.forget()
        log = self.engine.log_path("nodes")
        # A lab that comes back from a retained golden state has no log folder yet.
        files.private(log.parent)
        nodes, cloud = self.engine.made(NodesMade), self.engine.made(CloudMade)
        if nodes is not None:
            lab = self.engine.lab
            readiness.settle(lab, nodes, cloud, self.provider, self._resolve_known, log, since)

    def _resolve_known(self, names: Iterable[str]) -> Sequence[Feature]:
        """The features with these names, without those that nobody here knows."""
        known, unknown = [], []
        for name in names:
            try:
                self.resolve([name])
            except ConfigError:
                unknown.append(name)
            else:
                known.append(name)
        if unknown:
            self.engine.say(f"cloud: not known here, and so not checked: {' '.join(unknown)}")
        return self.resolve(known)
