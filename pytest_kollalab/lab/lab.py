"""The lab: two nodes, their networks and the cloud on them, as one object."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from pytest_kollalab.engine import progress, records
from pytest_kollalab.engine.engine import BUILD, FETCH, REMOVE, REUSE, Engine, Step
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.records import Record
from pytest_kollalab.engine.runs import SharedRun, new_run_id
from pytest_kollalab.extensions.extensions import NOTHING, Extensions
from pytest_kollalab.features import BACKEND
from pytest_kollalab.features.backend import NetworkBackend, named
from pytest_kollalab.lab import checks, kept
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import (
    STAGES,
    BackendName,
    Config,
    NetworkConfig,
    Options,
    first_lab,
    options_of,
)
from pytest_kollalab.stages import tools_python
from pytest_kollalab.system import files
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import (
    BusyError,
    ConfigError,
    HostError,
    KollalabError,
    NeedsLabError,
    StageError,
    as_message,
    if_writable,
)
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.nearest import nearest
from pytest_kollalab.system.paths import Paths, check_writable, default_paths

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.engine.owners import Owner
    from pytest_kollalab.engine.progress import Watcher
    from pytest_kollalab.features.base import Feature
    from pytest_kollalab.providers.base import NodesMade, Provider
    from pytest_kollalab.report.summary import Summary
    from pytest_kollalab.stages.cloud.made import CloudMade
    from pytest_kollalab.stages.golden.fetch import Fetch
    from pytest_kollalab.stages.golden.push import Push, Pushed
    from pytest_kollalab.stages.images.made import ImagesMade
    from pytest_kollalab.stages.states.consent import Consent
    from pytest_kollalab.stages.states.goldens import RetainedGolden
    from pytest_kollalab.stages.states.replay import Replay
    from pytest_kollalab.stages.states.rollback import Rewind
    from pytest_kollalab.stages.states.saves import Save
    from pytest_kollalab.stages.states.source import CloneSource
    from pytest_kollalab.stages.tools import ToolsMade
    from pytest_kollalab.system.ssh import Ssh

M = TypeVar("M", bound=Made)

# What is found out once about a lab, whatever release it is of.
OF_ANY_RELEASE = ("provider", "consent")
# The stages that belong to one lab.
OWN = ("nodes", "cloud")
# What a plan says of a cloud whose playbooks are replayed.
REPLAY = "replay"
ANEW, REMOVAL = "building the nodes anew", "removing the lab"


class Lab:
    """A lab of a given name.

    Creating the object reads and changes nothing. If the option `cloud` names an existing cloud,
    methods that need a lab raise NeedsLabError.

    Args:
        config: The project's configuration.
        options: The options of this run.
        features: Names of the features that the cloud must have, besides those in `config`.
        paths: Folders for state and cache.
        run_id: Identifier of this run. A new one is made by default.
        say: Called with each line of progress.
        mark: Called with the lines of progress that tell most: what the lab is, which stage is
            built, for what somebody waits. By default they are like the others.
        warn: Called with what must not be missed: that a lab which is there is built anew. By
            default it is like the lines that tell most.
        extensions: Features, providers and settings from other packages.
        watcher: Is told when a stage begins, moves on and ends.
        confirm: Asks the user a question and returns whether the answer is yes. By default the
            answer is no.
        passing: Whether the lab goes with this run if this run makes it.
        goal: The last stage that this run is known to need. The plan that is shown first reaches so
            far, even if an earlier stage is asked for first.
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
        mark: Callable[[str], None] | None = None,
        warn: Callable[[str], None] | None = None,
        extensions: Extensions = NOTHING,
        watcher: Watcher | None = None,
        confirm: Callable[[str], bool] | None = None,
        passing: bool = False,
        goal: str = STAGES[0],
    ) -> None:
        self._goal = goal
        self._passing = passing
        self._confirm = confirm
        self._watcher = watcher
        self.config = config or Config()
        self.options = options or Options()
        self.name = self.options.name
        self.paths = paths or default_paths()
        self.feature_names = tuple(dict.fromkeys([*self.config.features, *features]))
        self._run_id = run_id or new_run_id()
        self.lease = Lease(self.paths.state / "labs" / f"{self.name}.lease", self._run_id)
        self.session = SharedRun(self.paths, self._run_id, self.name, options_of(self.options))
        self._say = say
        self._mark = mark or say
        self._warn = warn or self._mark
        self.extensions = extensions
        # Of so many stages the plan was shown.
        self._announced = 0
        self._told: set[str] = set()
        self._seen: set[str] = set()

    @property
    def backend(self) -> NetworkBackend:
        """The network backend of the lab, as it is configured."""
        return named(self.config.network.backend)

    @property
    def folder(self) -> Path:
        """The lab's state folder, with records, logs, keys and passwords."""
        return self.paths.lab(self.name)

    @cached_property
    def provider(self) -> Provider:
        """The provider of the lab's nodes."""
        from pytest_kollalab.providers.choice import of_lab

        added = self.extensions.providers_for(self.config)
        return of_lab(self.folder, self.options, self.paths, added)

    @property
    def tables(self) -> dict[str, type[Any]]:
        """The settings classes of the lab's features, provider and configuration tables, by name.

        A class is included if the lab uses its feature or provider, or if `kollalab.toml` has its
        table.
        """
        names = {*self.config.tables, *(each.name for each in self.features), self.provider.name}
        return {name: kind for name, kind in self.extensions.tables.items() if name in names}

    @cached_property
    def rewind(self) -> Rewind:
        """Saves the lab and rolls it back."""
        from pytest_kollalab.stages.states.rollback import Rewind
        from pytest_kollalab.stages.states.saves import Saves

        self.provider.check_lab(self.name)
        saves = Saves(self.name, self.folder, self.provider)
        return Rewind(self.engine, saves, self.lease, resolve=self._resolve_there)

    @cached_property
    def consent(self) -> Consent:
        """The consent of the user to lose saved states of the lab."""
        from pytest_kollalab.stages.states.consent import Consent, refuse

        given, confirm = self.options.discard_saved, self._confirm or refuse
        return Consent(self.name, self.folder, self._run_id, given=given, confirm=confirm)

    @cached_property
    def retained(self) -> RetainedGolden:
        """Retains the golden state of a removed lab and brings the lab back from it."""
        from pytest_kollalab.stages.states.goldens import RetainedGolden

        wanted = self.options.golden == "keep" and self.options.until == "cloud"
        return RetainedGolden(self.rewind, wanted=wanted)

    @cached_property
    def fetch(self) -> Fetch:
        """Starts the lab from a golden state that another host made."""
        from pytest_kollalab.stages.golden.fetch import Fetch

        wanted = self.options.until == "cloud" and not self.options.clone_of
        return Fetch(self.rewind, self.options, wanted=wanted)

    @cached_property
    def base(self) -> Lab | None:
        """The lab that this lab is cloned from, or None.

        None if this lab is not a clone, or if the provider of either lab cannot clone.
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
            mark=lambda text: self._mark(f"{first.name}: {text}"),
            warn=self._warn,
            extensions=self.extensions,
            watcher=self._watcher,
            passing=self._passing,
        )
        return base if base.provider.cloning is not None else None

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The supported features of the lab, including those that other features require."""
        names = [name for name in self.feature_names if name not in self.unsupported]
        return self._resolve(names)

    @cached_property
    def unsupported(self) -> dict[str, str]:
        """The requested features whose images can be neither found nor built here, and why.

        The result is cached, because finding out may need a network request.
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
            session=self.session,
            say=self._say,
            mark=self._mark,
            others=self.lease.others,
            watcher=self._watcher,
            built=self._built,
            spare=self._spare,
            features=[feature.name for feature in self.features],
        )

    def plan(self, until: str | None = None) -> list[Step]:
        """Say what each stage will do and why, without changing anything.

        Args:
            until: The last stage to plan. The default is the option `until`.

        Returns:
            One step per stage, in order. Empty with an existing cloud.

        Raises:
            ConfigError: The features cannot be in one lab, a setting or variable is unknown,
                fixed or without effect, or the lab to clone does not exist.
        """
        if self.options.cloud:
            return []
        self._check_upgraded()
        self._check()
        reach = until or self.options.until
        steps = self._foreseen(reach)
        self._check_known(steps, self._goal if self._goal != STAGES[0] else reach)
        checks.check_sources(self.engine, steps)
        return steps

    def about(self) -> dict[str, Any]:
        """What the lab is, as JSON: its name, features, release, network backend and provider."""
        return {
            "lab": self.name,
            "features": [feature.name for feature in self.features],
            "release": self.config.release,
            "backend": self.backend.name,
            "provider": self.provider.name,
        }

    def title(self) -> str:
        """What the lab is, in one line."""
        told = self.about()
        return (
            f"lab {told['lab']}: {' '.join(told['features'])}; release {told['release']}, "
            f"network backend {told['backend']}, provider {told['provider']}"
        )

    def plan_lines(self, replay: Sequence[str] = ()) -> list[str]:
        """The plan as text: what the lab is, its stages, and what extensions add or leave out.

        Args:
            replay: Names of features whose playbooks are replayed if there is a cloud.
        """
        if self.options.cloud:
            return [f"the cloud {self.options.cloud} is used as it is: no stage runs"]
        left_out = [f"feature {name} is left out: {why}" for name, why in self.unsupported.items()]
        steps = self.plan_replay(replay) if replay and self.may_replay() else self.plan()
        builds_nodes = any(step.stage == "nodes" and step.action != REUSE for step in steps)
        others: list[Owner] = []
        with suppress(HostError):
            # Without docker the plan is still of use.
            others = [o for o in self.owners() if not o.mine] if builds_nodes else []
        taken = [f"the name {self.name} is taken: that lab belongs to {owner}" for owner in others]
        unheeded = checks.ineffective(self.config, self.provider.name)
        added = self.extensions.describe(self.features)
        why = tools_python.reason(releases.get(self.config.release))
        other_python = [why] if why is not None else []
        return [self.title(), *map(str, steps), *other_python, *taken, *unheeded, *left_out, *added]

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
        """Build or reuse a stage and all stages that it needs.

        Returns:
            What the stage made.

        Raises:
            HostError: The host lacks something. The error lists everything that is missing.
            StageError: A stage cannot be built, or it comes after the option `until`.
            ConfigError: The features cannot be in one lab, a setting or variable is unknown,
                fixed or without effect, or the lab to clone does not exist.
            NeedsLabError: This run uses an existing cloud.
        """
        self._check_ours(f"the stage {stage}")
        self._check_upgraded()
        if STAGES.index(stage) > STAGES.index(self.options.until):
            raise StageError(
                f"stage {stage} comes after {self.options.until}, where this run was told to stop",
                hint="leave out the option until, or name a later stage",
            )
        self._check()
        self._take_lease()
        self.rewind.recover()
        first = stage not in self._seen
        self._seen.add(stage)
        if self._passing and stage in OWN:
            kept.make_passing(self.folder)
        unsaid = STAGES.index(stage) >= self._announced
        goal = self._foreseen_until(stage) if unsaid else stage
        steps = self._awake(stage, goal) if first or unsaid else []
        if unsaid and any(step.action != REUSE for step in steps) and self._await_builder():
            # What another process was building is there now, or is not.
            steps = self._awake(stage, goal)
        if unsaid:
            # Of a lab that is broken nothing is built, so there is nothing to announce.
            self.engine.check_whole()
            for name, why in self.unsupported.items():
                self._mark(f"feature {name} is left out: {why}")
            self._announce(goal, steps)
        if first and self._foreseen_until(stage) == "cloud":
            self._fetch(stage)
        if stage in OWN:
            self.retained.revive()
            self._have_base()
            if first and self.consent.at_stake() and self._builds_nodes(stage):
                self.consent.ask(ANEW)
        made = self.engine.ensure(stage)
        if self.base is not None:
            # The clone is complete and no longer needs its base.
            self.base.lease.release()
        self._tell(stage)
        return made

    def up(self) -> None:
        """Bring the lab up to the stage named by the option `until`, with all features.

        Raises:
            HostError: This host does not support one of the requested features.
            StageError: A stage cannot be built.
        """
        for name, why in self.unsupported.items():
            raise HostError(f"this host does not support the feature {name}", details=why)
        self.ensure(self.options.until)
        self.keep()

    def keep(self) -> None:
        """Note that the lab stays after this run and all others."""
        kept.keep(self.folder)

    def is_kept(self) -> bool:
        """Whether the lab exists and was not made by a session for itself alone."""
        return kept.is_kept(self.folder)

    def owners(self) -> list[Owner]:
        """Who has a lab of this name where its nodes are made: this state folder, or others."""
        return self.provider.owners(self.name)

    def destroy(self, *, force: bool = False) -> bool:
        """Remove everything that belongs to the lab. Caches stay.

        Another lab of the same name, of another user or host, is not touched.

        Args:
            force: Remove the lab even if another process uses it.

        Returns:
            Whether there was such a lab.

        Raises:
            BusyError: Another process uses the lab and `force` is false.
            SavedStatesError: The lab has saved states that the user has not agreed to lose.
        """
        self._check_ours("removing a lab")
        # Before anything is recorded: it is whole where it is.
        self.provider.check_lab(self.name)
        self.consent.ask(REMOVAL, removes=True)
        if not force and self.engine.is_built_elsewhere():
            # The building process has its own lease and ends later: do not wait for it.
            self.lease.release()
            raise self._busy()
        with self.engine.locked(REMOVE, removes=True):
            # Claim the lease under the lock, so that exactly one process is the last.
            if not self.lease.claim() and not force:
                raise self._busy()
            self.consent.check(REMOVAL, removes=True)
            there = self.folder.exists() or any(owner.mine for owner in self.owners())
            self._retain()
            self.engine.destroy()
            point("lab:destroyed")
            shutil.rmtree(self.folder, ignore_errors=True)
            self.lease.forget()
        self.lease.release()
        return there

    def _busy(self) -> BusyError:
        passing = self.exists() and not self.is_kept()
        last = "; the session of pytest that made the lab removes it, unless told to keep it"
        return BusyError(
            f"lab {self.name} is in use by another process",
            details=f"it is used by {self.lease.users()}",
            hint=f"end that process first, or wait for it{last if passing else ''}",
        )

    def remove(self) -> str:
        """Remove the lab, and say that it is gone or that there was none.

        Raises:
            BusyError: Another process uses the lab, or the lab of this name belongs to another
                user or host.
        """
        from pytest_kollalab.providers.base import check_owners

        if self.destroy():
            return f"lab {self.name} is gone"
        check_owners(self.provider, self.name)
        return self.unknown()

    def unknown(self) -> str:
        """What to say when there is no lab of this name: which ones there are."""
        there = kept.names(self.paths.state)
        return f"there is no lab {self.name}" + (f" ({nearest(self.name, there)})" if there else "")

    def save(self, name: str, *, replace: bool = False) -> Save:
        """Save the current state of nodes and cloud under a name.

        An older saved state of that name is removed once the new one is complete.

        Args:
            name: The name of the saved state.
            replace: Replace a state of that name that another run saved, without asking.

        Raises:
            SavedStatesError: There is a state of that name, and the user does not want it replaced.
            StageError: The lab has no nodes.
            HostError: The provider cannot save nodes.
            BusyError: Another run uses the lab.
            ConfigError: The name is not valid.
        """
        from pytest_kollalab.stages.states import saves

        self._check_ours("a saved state")
        saves.check(name)
        if not replace:
            self.consent.ask_to_replace(name)
        return self.rewind.save(name)

    def rollback(self, name: str) -> Save:
        """Bring nodes and cloud back to a saved state and wait until they are usable.

        Raises:
            StageError: The lab has no nodes, or the saved state is not complete.
            HostError: The provider cannot save nodes.
            BusyError: Another run uses the lab.
            ConfigError: No state was saved under this name.
        """
        self._check_ours("a saved state")
        return self.rewind.rollback(name)

    def upgrade(self, to: str) -> CloudMade:
        """Upgrade the cloud to the next release of OpenStack, where it is.

        First the lab is saved as `before-RELEASE`, where its provider can save nodes. If the
        upgrade fails, `rollback` brings that state back. An upgrade that was stopped is continued.
        Afterwards this object is the lab of the new release.

        Args:
            to: The name of the release.

        Returns:
            The upgraded cloud.

        Raises:
            ConfigError: The release is unknown, not the next one, or lacks a feature of the cloud.
            StageError: The lab has no healthy cloud, or the upgrade fails.
            HostError: This host does not support the release.
            BusyError: Another run uses the lab.
        """
        from pytest_kollalab.stages.states import upgrade

        self._check_ours("an upgrade")
        # A rollback that was killed is completed first: it decides what the lab is.
        self.rewind.recover()
        begun = upgrade.under_way(self.folder)
        record = records.load(self.folder / "cloud.json")
        if record is None or (begun is None and record.status != records.READY):
            raise StageError(
                f"lab {self.name} has no cloud to upgrade", hint=f"kollalab up --name {self.name}"
            )
        if not {"release", "features"} <= record.inputs.keys():
            raise StageError(
                f"nobody knows the release of the cloud of lab {self.name}",
                details="another version of pytest-kollalab has deployed it",
                hint=f"kollalab up --name {self.name} deploys it anew",
            )
        source = begun.source if begun is not None else str(record.inputs["release"])
        upgrade.check_path(source, to)
        made = self._of_release(to, record.inputs["features"])._become(source)
        self._turn_to(to)
        return made

    def replay(self, features: Sequence[str]) -> None:
        """Run the playbooks of features again on the cloud as it is, without new nodes.

        What these playbooks did before stays, unless they undo it themselves. Afterwards the lab
        serves as if it had been built so, but its record has a key of its own, and its golden state
        is not kept, pushed or cloned.

        Args:
            features: Names of features of the cloud, which have playbooks.

        Raises:
            ConfigError: The cloud has no such feature, the feature has no playbooks, or more has
                changed than its playbooks, settings and images.
            StageError: The lab has no cloud, or a task failed.
            BusyError: Another run uses the lab.
        """
        self._check_ours("a replay")
        self._check_upgraded()
        # A rollback that was killed is completed first: it decides what the lab is.
        self.rewind.recover()
        self._await_builder()
        self._as_recorded()._replay(features)
        self.engine.forget()

    def check_replay(self, features: Sequence[str]) -> None:
        """Check that `replay` would do it, as far as that is known before; change nothing.

        Args:
            features: Names of features.

        Raises:
            ConfigError: It would be refused.
            StageError: The lab has no cloud.
        """
        self._check_ours("a replay")
        self._check_upgraded()
        self._as_recorded()._replaying(features)

    def plan_replay(self, features: Sequence[str]) -> list[Step]:
        """Say what each stage will do if playbooks of features are replayed; change nothing.

        Args:
            features: Names of features.

        Raises:
            ConfigError: The replay would be refused.
            StageError: The lab has no cloud.
        """
        self.check_replay(features)
        made = self._as_recorded()
        cloud = made.engine.plan("cloud")[-1]
        told = f"the playbooks of {' '.join(features)} run again, on the nodes as they are"
        return [*made.engine.plan("nodes"), replace(cloud, action=REPLAY, reason=told)]

    def push(self, *, replace: bool = False) -> Pushed:
        """Push the golden state of the lab to the place that `golden_registry` names.

        Args:
            replace: Push it even if the place has one of its key.

        Raises:
            ConfigError: No place is configured.
            StageError: The lab has no golden state, it cannot travel, or the place does not take
                it.
            HostError: The provider cannot pack saved states.
        """
        self._check_ours("a golden state")
        self._check()
        return self._pushing().run(replace=replace)

    def pull(self) -> str:
        """Have the golden state of the lab's key on this host, for `up` to start from.

        Returns:
            The key.

        Raises:
            ConfigError: No place is configured.
            StageError: There is no golden state of the key, or it cannot be used here.
            HostError: It is of another version, architecture or storage driver, or the disk is too
                full.
        """
        self._check_ours("a golden state")
        self._check()
        steps = {step.stage: step for step in self.engine.plan("cloud")}
        key = steps["cloud"].key
        if self.fetch.pull(key, steps["images"].key) is None:
            raise StageError(
                f"there is no golden state {key} in {self.options.golden_registry or 'the cache'}",
                details="its key is that of the cloud: features, configuration and versions",
                hint="kollalab plan shows the key; kollalab push pushes the one of a lab",
            )
        return key

    def clear(self, name: str) -> None:
        """Remove a saved state.

        Raises:
            StageError: There is no such lab.
            ConfigError: No state was saved under this name.
            HostError: The provider cannot save nodes.
        """
        self._check_ours("a saved state")
        if not self.exists() and not self.rewind.saves.list():
            raise StageError(self.unknown(), hint="kollalab list shows the labs that there are")
        self.rewind.clear(name)

    def exists(self) -> bool:
        """Whether the lab has a record of one of its own stages, nodes or cloud."""
        return kept.exists(self.folder)

    def records(self) -> dict[str, Record]:
        """The existing records of the lab's own stages, nodes and cloud, by stage."""
        loaded = (records.load(self.folder / f"{name}.json") for name in ("nodes", "cloud"))
        return {record.stage: record for record in loaded if record is not None}

    def cloud_features(self) -> tuple[str, ...]:
        """The features that the lab's cloud has, or was being built with; empty without a cloud."""
        record = records.load_if_whole(self.folder / "cloud.json")
        return tuple(record.inputs.get("features", ())) if record is not None else ()

    def cloud_backend(self) -> BackendName | None:
        """The name of the network backend of the lab's cloud, or None without a cloud."""
        record = records.load_if_whole(self.folder / "cloud.json")
        if record is None:
            return None
        return named(record.inputs.get("backend", BACKEND)).name

    def has_changed(self) -> bool:
        """Whether this object began to change the lab, or the one that it is cloned from."""
        mine = "engine" in vars(self) and self.engine.was_locked
        base = vars(self).get("base")
        return mine or (base is not None and base.has_changed())

    def halted(self) -> tuple[str, ...]:
        """What of the lab does not run and is started by `up`; empty if nobody can tell."""
        try:
            return tuple(self.engine.halted("nodes"))
        except KollalabError:
            return ()

    def made(self, kind: type[M]) -> M | None:
        """What one of the lab's own stages made, or None if the stage is not ready.

        Args:
            kind: `NodesMade` or `CloudMade`.
        """
        record = self.records().get(kind.stage)
        return record.result(kind) if record is not None else None

    def summary(self, *, stays: bool, before: bool = False) -> Summary:
        """Summarize what this run did.

        Call this before the lab is removed, because it reads the lab's records.

        Args:
            stays: Whether the lab stays after this run.
            before: Whether it was there before.
        """
        from pytest_kollalab.report.summary import Summary, down_command, rows

        self.engine.offline()
        wanted = STAGES[: STAGES.index(self.options.until) + 1]
        history = progress.read(self.paths.state / progress.HISTORY)
        recorded = {name: self.engine.record(name, whole=False) for name in wanted}
        found = rows(self._run_id, self.name, history, recorded)
        remove = down_command(options_of(self.options)) if stays else ""
        return Summary(self.name, self._run_id, found, stays, remove, before=before)

    def ssh(self) -> Ssh:
        """Return SSH access to the nodes.

        Raises:
            StageError: The lab has no nodes.
        """
        from pytest_kollalab.providers.base import NodesMade
        from pytest_kollalab.system.ssh import Ssh

        self._check_ours("access to nodes")
        files.used(self.folder)
        nodes = self.made(NodesMade)
        if nodes is None:
            missing = f"lab {self.name} has no nodes" if self.records() else self.unknown()
            raise StageError(missing, hint=f"kollalab up --name {self.name}")
        return Ssh(nodes.ssh_config)

    def connect(self) -> Connection:
        """Open an openstacksdk connection as the cloud's administrator.

        The cloud is built first if needed.
        """
        from pytest_kollalab.stages.cloud import external
        from pytest_kollalab.stages.cloud.connect import connect

        if self.options.cloud:
            return external.connect(self.options.cloud)
        return connect(self.ensure("cloud"))

    def may_replay(self) -> bool:
        """Whether an earlier run left a cloud, so that playbooks can be replayed on it."""
        from pytest_kollalab.stages.cloud.stage import REPLAYED

        record = records.load_if_whole(self.folder / "cloud.json")
        if record is None:
            return False
        # Another process of this run may be replaying, and is waited for.
        is_earlier = record.status == records.READY and record.run != self._run_id
        return is_earlier or REPLAYED in record.inputs

    def _of_release(self, release: str, features: Iterable[str]) -> Lab:
        """The same lab with just these features and of another release."""
        network = NetworkConfig(self.cloud_backend() or self.backend.name)
        return Lab(
            replace(self.config, release=release, features=tuple(features), network=network),
            replace(self.options, until="cloud", fresh=()),
            paths=self.paths,
            run_id=self._run_id,
            say=self._say,
            mark=self._mark,
            warn=self._warn,
            extensions=self.extensions,
            watcher=self._watcher,
            confirm=self._confirm,
        )

    def _as_recorded(self) -> Lab:
        """The same lab with just the features and the release that its cloud has."""
        record = records.load(self.folder / "cloud.json")
        if record is None or not {"release", "features"} <= record.inputs.keys():
            raise StageError(
                f"lab {self.name} has no cloud", hint=f"kollalab up --name {self.name}"
            )
        return self._of_release(str(record.inputs["release"]), record.inputs["features"])

    def _replaying(self, features: Sequence[str]) -> Replay:
        """A replay on the cloud, which is recorded with just the features of this lab; checked."""
        from pytest_kollalab.stages.cloud.wanted import WantedCloud
        from pytest_kollalab.stages.states.replay import Replay

        wanted = WantedCloud(self.config, self.features, self.provider, self.extensions)
        replay = Replay(self.rewind, wanted, features)
        replay.check(records.load(self.folder / "cloud.json"))
        self._check()
        return replay

    def _replay(self, features: Sequence[str]) -> None:
        replay = self._replaying(features)
        self._take_lease()
        try:
            steps = self.engine.plan("nodes")
            nodes = steps[-1]
            if nodes.action != REUSE:
                raise StageError(
                    f"the nodes of lab {self.name} cannot be used: {nodes.reason}",
                    hint=f"kollalab up --name {self.name}",
                )
            self._check_builds(steps)
            self.rewind.wake()
            self.engine.ensure("images")
            replay.run()
        finally:
            self.lease.release()

    def _become(self, source: str) -> CloudMade:
        """Upgrade the cloud, which is of an older release, to this lab's release."""
        from pytest_kollalab.stages.cloud.wanted import WantedCloud
        from pytest_kollalab.stages.states.upgrade import Upgrade

        for name, why in self.unsupported.items():
            raise HostError(f"this host does not support the feature {name}", details=why)
        self._check()
        former = self._of_release(source, self.feature_names).features
        wanted = WantedCloud(self.config, self.features, self.provider, self.extensions)
        self._take_lease()
        try:
            self._say(self.title())
            steps = self.engine.plan("images")
            for step in steps:
                self._say(str(step))
            # What would fail is told before the lab stands still for it.
            self._check_builds(steps)
            self.rewind.wake()
            self.engine.ensure("images")
            upgrade = Upgrade(
                self.rewind,
                self.folder,
                source=source,
                to=self.config.release,
                former=former,
                cloud=wanted,
            )
            return upgrade.run()
        finally:
            self.lease.release()

    def _turn_to(self, release: str) -> None:
        """Be the lab of another release, and forget what was found out about the former one."""
        self.config = replace(self.config, release=release)
        for name in [each for each in vars(self) if each not in OF_ANY_RELEASE]:
            if isinstance(getattr(type(self), name, None), cached_property):
                del vars(self)[name]
        # The next plan is another one.
        self._announced = 0
        self._seen.clear()

    def _resolve(self, names: Iterable[str]) -> tuple[Feature, ...]:
        return self._resolved(names, self.config.release, self.backend)

    def _resolve_there(self, names: Iterable[str], release: str = "") -> tuple[Feature, ...]:
        """The features of these names with the network backend of the cloud that is there."""
        there = named(self.cloud_backend() or self.backend.name)
        return self._resolved(names, release or self.config.release, there)

    def _resolved(
        self, names: Iterable[str], release: str, backend: NetworkBackend
    ) -> tuple[Feature, ...]:
        found = self.extensions.registry.resolve(names, release, backend)
        return tuple(feature.configured(self.config) for feature in found)

    def _check(self) -> None:
        checks.check_clone(self.options, self.paths.state)
        checks.check_golden(self.options)
        checks.check_settings(self.config)
        checks.check_features(self.features, self.extensions, self.backend, self.config.release)
        checks.check_stock(self.config, self.backend, self.provider)
        checks.check_variables(self.config, self.features, self.extensions, self.backend)

    def _foreseen(self, until: str, planned: list[Step] | None = None) -> list[Step]:
        planned = planned if planned is not None else self.engine.plan(until)
        steps = [self._with_loss(s) for s in self.retained.plan(planned)]
        if self.base is None:
            return self.fetch.plan(steps)
        from pytest_kollalab.stages.states import clones

        return clones.plan(steps, self.base.name)

    def _with_loss(self, step: Step) -> Step:
        """Add to the step that builds nodes which saved states go with the former ones."""
        from pytest_kollalab.stages.states.consent import listed

        lost = self.consent.at_stake() if _is_new_nodes(step) else []
        return replace(step, reason=f"{step.reason}; removes {listed(lost)}") if lost else step

    def _foreseen_until(self, stage: str) -> str:
        goal = min(self._goal, self.options.until, key=STAGES.index)
        return max(stage, goal, key=STAGES.index)

    def _awake(self, stage: str, goal: str) -> list[Step]:
        """The steps to a goal, when what is reused and did not run has been started."""
        steps = self.engine.ahead(goal)
        if stage in OWN and any(step.starts for step in steps):
            self.rewind.wake()
            steps = self.engine.ahead(goal)
        return steps

    def _await_builder(self) -> bool:
        """Wait for another process that builds the lab now; returns whether there was one.

        Between two stages, it holds the lab's lock for nobody: it is then asked for once more.
        """
        if not self.engine.is_built_elsewhere():
            return False
        while self.engine.is_built_elsewhere():
            with self.engine.locked("see what another process built"):
                self.engine.forget()
        return True

    def _builds_nodes(self, stage: str) -> bool:
        return any(map(_is_new_nodes, self.engine.ahead(stage)))

    def _spare(self, stage: str) -> None:
        """Keep nodes whose saved states the user has not agreed to lose."""
        if stage == "nodes":
            self.consent.check(ANEW)

    def _fetch(self, stage: str) -> None:
        """Have what a golden state brings of a stage, if the lab is to start from one."""
        if not self.fetch.wanted or stage == "tools":
            return
        steps = self.retained.plan(self.engine.ahead("cloud"))
        if stage in OWN:
            self.fetch.revive(steps)
        else:
            self.fetch.bring_images(steps)

    def _have_base(self) -> None:
        """Build or reuse the base lab if a stage of this lab will be cloned from it."""
        from pytest_kollalab.stages.states.clones import CLONE

        if self.base is not None and any(s.action == CLONE for s in self._foreseen("cloud")):
            self.base.ensure("cloud")

    def _source(self) -> CloneSource | None:
        if self.base is None:
            return self.fetch.source()
        from pytest_kollalab.stages.states import clones

        found = clones.source(self.base.rewind)
        if found is None:
            self._mark(f"lab {self.base.name} has no golden state to clone; {self.name} is built")
        return found

    def _built(self, stage: str) -> None:
        if stage != "cloud":
            return
        if self.options.golden != "none":
            self.rewind.keep_golden()
        self._push_built()

    def _push_built(self) -> None:
        """Push the golden state of a deploy if that is wanted. A failure is only told."""
        from pytest_kollalab.providers.base import NodesMade
        from pytest_kollalab.stages.golden.push import is_wanted

        if not is_wanted(self.options):
            return
        nodes = self.made(NodesMade)
        if nodes is None or nodes.clone is not None:
            return
        try:
            self._pushing().run()
        except Exception as error:  # noqa: BLE001 - the cloud is healthy, whatever this is
            self._say(f"the golden state is not pushed: {as_message(error)}")

    def _pushing(self) -> Push:
        from pytest_kollalab.stages.cloud.wanted import WantedCloud
        from pytest_kollalab.stages.golden.push import Push

        wanted = WantedCloud(self.config, self.features, self.provider, self.extensions)
        return Push(self.rewind, wanted, self.options)

    def _retain(self) -> None:
        """Retain the golden state if that is wanted. A failure does not stop the removal."""
        from pytest_kollalab.providers import retained

        try:
            self.retained.keep()
        except Exception as error:  # noqa: BLE001 - whatever it is, the lab goes
            self._say(f"the golden state of lab {self.name} is not kept: {as_message(error)}")
            with if_writable():
                retained.forget(self.paths.state, self.name)

    def _made_by(self, inputs: Mapping[str, Any]) -> Provider:
        from pytest_kollalab.providers.choice import made_by

        added = self.extensions.providers_for(self.config)
        return made_by(inputs, self.options, self.paths, added)

    def _take_lease(self) -> None:
        self.lease.take(
            lambda: self._mark(f"lab {self.name} is being removed by another process; waiting")
        )

    def _check_upgraded(self) -> None:
        from pytest_kollalab.stages.states.saves import UPGRADE

        if (self.folder / UPGRADE).exists():
            from pytest_kollalab.stages.states import upgrade

            begun = upgrade.under_way(self.folder)
            assert begun is not None
            raise begun.error(self.name)

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

    def _announce(self, stage: str, planned: list[Step]) -> None:
        steps = self._foreseen(stage, planned)
        self._check_known(steps, stage)
        new = [step for step in steps if STAGES.index(step.stage) >= self._announced]
        changes = any(step.action != REUSE for step in new)
        (self._mark if changes else self._say)(self.title())
        for step in new:
            # Of a build the engine tells when it begins.
            (self._say if step.action in (REUSE, BUILD) else self._mark)(str(step))
        if lost := self._replaced(new):
            self._warn(f"lab {self.name} is removed and built anew: {lost.reason}")
        self._check_builds(steps, host=stage != "tools")
        self._announced = STAGES.index(stage) + 1

    def _check_known(self, steps: Iterable[Step], until: str) -> None:
        """Check that nobody loses a lab with a feature that is not known here.

        Args:
            steps: What will happen.
            until: The last stage that counts.
        """
        there, known = self.cloud_features(), self.extensions.registry.names()
        unknown = [name for name in there if name not in known]
        counted = [s for s in steps if STAGES.index(s.stage) <= STAGES.index(until)]
        lost = [s for s in counted if s.stage in OWN and s.action != REUSE]
        if not unknown or not lost or not self.is_kept():
            return
        what = f"feature {unknown[0]}" if len(unknown) == 1 else f"features {', '.join(unknown)}"
        wanted = " ".join(feature.name for feature in self.features)
        raise ConfigError(
            f"lab {self.name} has the {what}, not known here: it would be built anew without",
            details=f"it has {' '.join(there)}; wanted here: {wanted}\n"
            f"{lost[-1].stage} would be built anew: {lost[-1].reason}",
            hint="run this where the feature is known, or for another lab (pytest --kollalab-name, "
            "kollalab --name), or remove this one first: `kollalab down`",
        )

    def _replaced(self, steps: Iterable[Step]) -> Step | None:
        """The last stage of the lab itself that is there, and will be built anew; None if none."""
        there = [
            step
            for step in steps
            if step.stage in OWN and step.action != REUSE and self._is_ready(step.stage)
        ]
        return there[-1] if there else None

    def _is_ready(self, stage: str) -> bool:
        record = self.engine.record(stage, whole=False)
        return record is not None and record.status == records.READY

    def _check_builds(self, steps: Sequence[Step], *, host: bool = True) -> None:
        """Check that what is built can be built.

        Args:
            steps: The plan.
            host: Whether nodes or images are built: whether this host has what they need, such as
                room on its disks.
        """
        building = [step for step in steps if step.action == BUILD]
        making = [step for step in steps if step.action in (BUILD, FETCH)]
        if any(self.engine.stages[step.stage].shared for step in making):
            check_writable(self.paths.cache, "KOLLALAB_CACHE")
        if host and making:
            self._check_host(building)
        checks.check_sources(self.engine, steps)

    def _check_host(self, building: Iterable[Step]) -> None:
        from pytest_kollalab.providers.base import check_owners
        from pytest_kollalab.providers.choice import check_host
        from pytest_kollalab.stages import room

        check_host(self.provider, self.paths.cache)
        check_owners(self.provider, self.name)
        room.check_stages((self.engine.stages[step.stage] for step in building), self.paths.cache)


def _is_new_nodes(step: Step) -> bool:
    return step.stage == "nodes" and step.action == BUILD
