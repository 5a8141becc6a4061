"""The lab: two nodes, their networks and the cloud on them, as one object."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from pytest_kollalab.engine import progress, records
from pytest_kollalab.engine.engine import BUILD, REUSE, Engine, Step
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.records import Record
from pytest_kollalab.engine.runs import SharedRun, new_run_id
from pytest_kollalab.extensions.extensions import NOTHING, Extensions
from pytest_kollalab.features.backend import OVS, NetworkBackend
from pytest_kollalab.settings.config import STAGES, Config, Options, first_lab
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import BusyError, HostError, NeedsLabError, StageError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths, check_writable, default_paths

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.engine.progress import Watcher
    from pytest_kollalab.features.base import Feature
    from pytest_kollalab.providers.base import NodesMade, Provider
    from pytest_kollalab.report.summary import Summary
    from pytest_kollalab.stages.cloud.made import CloudMade
    from pytest_kollalab.stages.images.made import ImagesMade
    from pytest_kollalab.stages.states.goldens import RetainedGolden
    from pytest_kollalab.stages.states.rollback import Rewind
    from pytest_kollalab.stages.states.saves import Save
    from pytest_kollalab.stages.states.source import CloneSource
    from pytest_kollalab.stages.tools import ToolsMade
    from pytest_kollalab.system.ssh import Ssh

M = TypeVar("M", bound=Made)


class Lab:
    """A lab by its name; making the object touches nothing.

    `features` are the names of the features that the cloud must have. `say` shows a line of
    progress. `extensions` are what others bring. With the option `cloud` there is only that one:
    whatever needs a lab raises NeedsLabError.
    """

    def __init__(
        self,
        config: Config | None = None,
        options: Options | None = None,
        *,
        features: Iterable[str] = (),
        paths: Paths | None = None,
        run_id: str | None = None,
        say: Callable[[str], None] = print,
        extensions: Extensions = NOTHING,
        watcher: Watcher | None = None,
    ) -> None:
        self._watcher = watcher
        self.config = config or Config()
        self.options = options or Options()
        self.name = self.options.name
        self.paths = paths or default_paths()
        self.feature_names = tuple(dict.fromkeys([*self.config.features, *features]))
        self._run_id = run_id or new_run_id()
        self.lease = Lease(self.paths.state / "labs" / f"{self.name}.lease", self._run_id)
        self.session = SharedRun(self.paths, self._run_id, self.name)
        self._say = say
        self.extensions = extensions
        self._announced = False
        self._told: set[str] = set()

    @property
    def backend(self) -> NetworkBackend:
        """What carries out the networks of its cloud."""
        return OVS

    @property
    def folder(self) -> Path:
        """The lab's folder of state: records, logs, keys, passwords."""
        return self.paths.lab(self.name)

    @cached_property
    def provider(self) -> Provider:
        """Where the nodes come from."""
        from pytest_kollalab.providers.choice import of_lab

        added = self.extensions.providers_for(self.config)
        return of_lab(self.folder, self.options, self.paths, added)

    @property
    def tables(self) -> dict[str, type[Any]]:
        """The classes of settings of its features and its provider, and of tables in the file."""
        names = {*self.config.tables, *(each.name for each in self.features), self.provider.name}
        return {name: kind for name, kind in self.extensions.tables.items() if name in names}

    @cached_property
    def rewind(self) -> Rewind:
        """What saves the lab and rolls it back."""
        from pytest_kollalab.stages.states.rollback import Rewind
        from pytest_kollalab.stages.states.saves import Saves

        saves = Saves(self.name, self.folder, self.provider)
        return Rewind(self.engine, saves, self.lease, resolve=self._resolve)

    @cached_property
    def retained(self) -> RetainedGolden:
        """The golden state that is retained when the lab goes, and the way back to it."""
        from pytest_kollalab.stages.states.goldens import RetainedGolden

        wanted = self.options.golden == "keep" and self.options.until == "cloud"
        return RetainedGolden(self.rewind, wanted=wanted)

    @cached_property
    def base(self) -> Lab | None:
        """The lab whose golden state this one is made from, if it is made from one.

        Both have to be here: what is on another host builds its lab by itself.
        """
        if not self.options.clone_of or self.provider.cloning is None:
            return None
        first = first_lab(self.options)
        base = Lab(
            self.config,
            replace(first, golden="drop" if first.golden == "none" else first.golden),
            features=self.feature_names,
            paths=self.paths,
            run_id=self._run_id,
            say=lambda text: self._say(f"{first.name}: {text}"),
            extensions=self.extensions,
            watcher=self._watcher,
        )
        return base if base.provider.cloning is not None else None

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The features of the lab, those that others require included, without unsupported ones."""
        names = [name for name in self.feature_names if name not in self.unsupported]
        return self._resolve(names)

    @cached_property
    def unsupported(self) -> dict[str, str]:
        """The features asked for whose images this host can neither find nor build, and why.

        Found out once: it may take a request to the network, and images that are there need none.
        """
        from pytest_kollalab.stages.images.stage import unsupported

        if self.options.cloud:
            return {}
        return unsupported(
            self.feature_names, self.extensions, self.config, self.options, self.paths
        )

    @cached_property
    def engine(self) -> Engine:
        """The engine with this lab's four stages."""
        from pytest_kollalab.stages.all import stages

        found = stages(
            self.config,
            self.options,
            self.paths,
            features=self.features,
            extensions=self.extensions,
            provider=self.provider,
            made_by=self._made_by,
            source=self._source,
        )
        return Engine(
            self.name,
            found,
            self.paths,
            fresh=self.options.fresh,
            run_id=self._run_id,
            say=self._say,
            others=self.lease.others,
            watcher=self._watcher,
            built=self._built,
        )

    def plan(self, until: str | None = None) -> list[Step]:
        """What each stage will do and why; changes nothing. Empty with an existing cloud."""
        if self.options.cloud:
            return []
        self._check_features()
        self._check_variables()
        return self._foreseen(until or self.options.until)

    def plan_lines(self) -> list[str]:
        """The plan for people: a line per stage, and what came from whom."""
        if self.options.cloud:
            return [f"the cloud {self.options.cloud} is used as it is: no stage runs"]
        left_out = [f"feature {name} is left out: {why}" for name, why in self.unsupported.items()]
        return [*map(str, self.plan()), *left_out, *self.extensions.describe(self.features)]

    @overload
    def ensure(self, stage: Literal["tools"]) -> ToolsMade: ...

    @overload
    def ensure(self, stage: Literal["images"]) -> ImagesMade: ...

    @overload
    def ensure(self, stage: Literal["nodes"]) -> NodesMade: ...

    @overload
    def ensure(self, stage: Literal["cloud"]) -> CloudMade: ...

    @overload
    def ensure(self, stage: str) -> Made: ...

    def ensure(self, stage: str) -> Made:
        """Have a stage and all that it builds on; returns what the stage made.

        Raises HostError when the host lacks something (everything that it lacks, at once),
        StageError when a stage cannot be built or lies beyond the option `until`.
        """
        self._check_ours(f"the stage {stage}")
        if STAGES.index(stage) > STAGES.index(self.options.until):
            raise StageError(
                f"stage {stage} lies beyond {self.options.until}, where this run was told to stop",
                hint="leave out the option until, or name a later stage",
            )
        self._check_features()
        self.lease.take(
            lambda: self._say(f"lab {self.name} is being removed by another process; waiting")
        )
        self.rewind.recover()
        if not self._announced:
            for name, why in self.unsupported.items():
                self._say(f"feature {name} is left out: {why}")
            self._announce(stage)
        if self.config.globals and stage != "tools":
            # A variable that nobody knows is told before anything is built for it.
            self.engine.ensure("tools")
            self._check_variables()
        if stage in ("nodes", "cloud"):
            self.retained.revive()
            self._have_base()
        made = self.engine.ensure(stage)
        if self.base is not None:
            # What was wanted of it has been copied.
            self.base.lease.release()
        self._tell(stage)
        return made

    def up(self) -> None:
        """Bring the lab up as far as the option `until` says, with all that was asked for.

        Raises HostError when this host cannot have one of the features.
        """
        for name, why in self.unsupported.items():
            raise HostError(f"this host cannot have the feature {name}", details=why)
        self.ensure(self.options.until)

    def destroy(self, *, force: bool = False) -> None:
        """Remove everything that belongs to the lab; caches stay.

        Raises BusyError when another process uses the lab, unless `force`.
        """
        self._check_ours("removing a lab")
        busy = BusyError(
            f"lab {self.name} is in use by another process",
            hint="end that one first; the last one out removes the lab",
        )
        if not force and self.engine.is_built_elsewhere():
            # Who builds has a lease and leaves later than we do: it need not be waited for.
            self.lease.release()
            raise busy
        with self.engine.locked("remove the lab"):
            # Who leaves and who enters is decided under the lock: of several, one is the last.
            if not self.lease.claim() and not force:
                raise busy
            self.retained.keep()
            self.engine.destroy()
            point("lab:destroyed")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.lease.forget()
        self.lease.release()

    def save(self, name: str) -> Save:
        """Save nodes and cloud as they are, under a name; one that has the name goes afterwards.

        Raises StageError without nodes, HostError when the provider cannot, BusyError when another
        run uses the lab.
        """
        self._check_ours("a saved state")
        return self.rewind.save(name)

    def rollback(self, name: str) -> Save:
        """Bring nodes and cloud back to a saved state, and return when they are usable.

        Raises as `save` does, and ConfigError for a name that nothing was saved under.
        """
        self._check_ours("a saved state")
        return self.rewind.rollback(name)

    def clear(self, name: str) -> None:
        """Forget a saved state. Raises ConfigError for a name that nothing was saved under."""
        self._check_ours("a saved state")
        self.rewind.clear(name)

    def exists(self) -> bool:
        """Whether there is a record of any of the lab's own stages."""
        return self.folder.is_dir() and any(self.folder.glob("*.json"))

    def records(self) -> dict[str, Record]:
        """The records of the lab's own stages, nodes and cloud, as far as they are there."""
        loaded = (records.load(self.folder / f"{name}.json") for name in ("nodes", "cloud"))
        return {record.stage: record for record in loaded if record is not None}

    def made(self, kind: type[M]) -> M | None:
        """What one of the lab's own stages has made; None unless that is ready.

        Args:
            kind: `NodesMade` or `CloudMade`.
        """
        record = self.records().get(kind.stage)
        ready = record is not None and record.status == records.READY
        return record.read(kind) if record is not None and ready else None

    def summary(self, *, kept: bool) -> Summary:
        """What this run did, with the records as they are: make it before anything is removed."""
        from pytest_kollalab.report.summary import Summary, down_command, rows

        self.engine.offline()
        wanted = STAGES[: STAGES.index(self.options.until) + 1]
        history = progress.read(self.paths.state / progress.HISTORY)
        recorded = {name: self.engine.record(name, whole=False) for name in wanted}
        found = rows(self._run_id, self.name, history, recorded)
        remove = down_command(self.name, Options.name) if kept else ""
        return Summary(self.name, self._run_id, found, kept, remove)

    def ssh(self) -> Ssh:
        """The way to run commands on the nodes. Raises StageError when there are none."""
        from pytest_kollalab.providers.base import NodesMade
        from pytest_kollalab.system.ssh import Ssh

        self._check_ours("access to nodes")
        nodes = self.made(NodesMade)
        if nodes is None:
            raise StageError(
                f"lab {self.name} has no nodes", hint=f"kollalab up --name {self.name}"
            )
        return Ssh(nodes.ssh_config)

    def connect(self) -> Connection:
        """An openstacksdk connection as the cloud's administrator."""
        from pytest_kollalab.stages.cloud import external
        from pytest_kollalab.stages.cloud.connect import connect

        if self.options.cloud:
            return external.connect(self.options.cloud)
        return connect(self.ensure("cloud"))

    def _resolve(self, names: Iterable[str]) -> tuple[Feature, ...]:
        found = self.extensions.registry.resolve(names, self.config.release, self.backend)
        return tuple(feature.configured(self.config) for feature in found)

    def _check_features(self) -> None:
        """Raise ConfigError when the features cannot be in one lab."""
        self.extensions.registry.check_conflicts(
            {each.name: () for each in self.features}, self.backend
        )

    def _foreseen(self, until: str) -> list[Step]:
        steps = self.retained.plan(self.engine.plan(until))
        if self.base is None:
            return steps
        from pytest_kollalab.stages.states import clones

        return clones.plan(steps, self.base.name)

    def _have_base(self) -> None:
        """Have the lab that this one is made from, if there is anything to be made."""
        from pytest_kollalab.stages.states.clones import CLONE

        if self.base is not None and any(s.action == CLONE for s in self._foreseen("cloud")):
            self.base.ensure("cloud")

    def _source(self) -> CloneSource | None:
        if self.base is None:
            return None
        from pytest_kollalab.stages.states import clones

        found = clones.source(self.base.rewind)
        if found is None:
            self._say(f"lab {self.base.name} has no golden state to clone; {self.name} is built")
        return found

    def _built(self, stage: str) -> None:
        if stage == "cloud" and self.options.golden != "none":
            self.rewind.keep_golden()

    def _made_by(self, inputs: Mapping[str, Any]) -> Provider:
        from pytest_kollalab.providers.choice import made_by

        added = self.extensions.providers_for(self.config)
        return made_by(inputs, self.options, self.paths, added)

    def _check_variables(self) -> None:
        from pytest_kollalab.stages.cloud import variables
        from pytest_kollalab.stages.tools import ToolsMade

        tools = self.engine.made(ToolsMade) if self.config.globals else None
        if tools is not None:
            # Features may have variables of their own, for their playbooks.
            layers = (*self.features, *self.extensions.layers)
            own = {name for feature in layers for name in feature.globals}
            asked = {k: v for k, v in self.config.globals.items() if k not in own}
            variables.check(asked, tools.venv, self.config.release)

    def _check_ours(self, what: str) -> None:
        if self.options.cloud:
            raise NeedsLabError(
                f"{what} needs a lab; this run uses the cloud {self.options.cloud}",
                hint="leave out --kollalab-cloud",
            )

    def _tell(self, stage: str) -> None:
        for name in STAGES[: STAGES.index(stage) + 1]:
            record = self.engine.record(name)
            if name in self._told or record is None:
                continue
            self._told.add(name)
            action = BUILD if record.run == self.engine.run_id else REUSE
            made = record.read(self.engine.stages[name].makes)
            self.extensions.watch(self.name, name, action, made)

    def _announce(self, stage: str) -> None:
        steps = self._foreseen(stage)
        for step in steps:
            self._say(str(step))
        building = [step for step in steps if step.action == BUILD]
        if any(self.engine.stages[step.stage].shared for step in building):
            check_writable(self.paths.cache, "KOLLALAB_CACHE")
        if stage != "tools" and building:
            self._check_host(building)
        self._announced = True

    def _check_host(self, building: Iterable[Step]) -> None:
        from pytest_kollalab.providers.choice import check_host
        from pytest_kollalab.stages import room

        check_host(self.provider)
        room.check_stages((self.engine.stages[step.stage] for step in building), self.paths.cache)
