"""The engine decides for each stage whether to reuse or build it, and undoes failed builds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

from pytest_kollalab.engine import leftovers, owners, records
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.progress import HISTORY, Expected, Likeness, Watcher, expect, read
from pytest_kollalab.engine.records import Record, Tag
from pytest_kollalab.engine.runs import Attempt, SharedRun, new_run_id
from pytest_kollalab.engine.stage import Inputs, M, Stage, Work
from pytest_kollalab.system import digest, files, locks
from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import (
    BusyError,
    HostError,
    KollalabError,
    StageError,
    StateError,
    as_message,
    if_writable,
)
from pytest_kollalab.system.paths import Paths

REUSE = "reuse"
BUILD = "build"
REWORK = "rework"
FETCH = "fetch"
# What a lock is held for, followed by the name of the stage.
BUILDING = "build "
REMOVE = "remove the lab"
INTERRUPTED = "interrupted"
SHOWN_CHANGES = 3
# Seconds from which on a build is long enough to say beforehand how long it takes.
LONG = 30.0


@dataclass(frozen=True)
class Step:
    """What will happen to a stage, and why.

    Attributes:
        stage: The name of the stage.
        action: `reuse`, `build`, `clone`, `rollback`, `fetch`, or `rework` for a change in place.
        reason: Why, for people.
        key: The key of the stage.
        resumes: Whether the build continues an earlier one that failed.
        starts: What is reused, but does not run and has to be started first.
    """

    stage: str
    action: str
    reason: str
    key: str
    resumes: bool = False
    starts: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.stage:<7} {self.action:<6} {self.key}  {self.reason}"


class Engine:
    """Builds, reuses and removes the stages of one lab.

    Args:
        lab: Name of the lab.
        stages: The stages, in the order in which they are built.
        paths: Folders for state and cache.
        fresh: Names of stages to build anew even if they could be reused.
        run_id: Identifier of this run. A new one is made by default.
        session: Is told of failures. By default one of this lab and run.
        say: Called with each line of progress.
        mark: Called with the lines of progress that tell most: which stage is built, and for what
            somebody waits. By default they are like the others.
        others: Whether another run uses the lab.
        watcher: Is told when a stage begins, moves on and ends.
        built: Called with the name of each stage that was built, while the lab is locked.
        spare: Called with the name of a stage of the lab before it is removed to be built anew. An
            error that it raises keeps the stage.
        present: Trust the records of the lab's own stages without checking what they describe.
        features: What the lab has: how long a build takes is estimated from builds with the same.

    Attributes:
        was_locked: Whether this engine ever held the lab's lock: whether it may have changed it.
    """

    def __init__(
        self,
        lab: str,
        stages: Sequence[Stage[Any]],
        paths: Paths,
        *,
        fresh: Sequence[str] = (),
        run_id: str | None = None,
        session: SharedRun | None = None,
        say: Callable[[str], None] = print,
        mark: Callable[[str], None] | None = None,
        others: Callable[[], bool] = lambda: False,
        watcher: Watcher | None = None,
        built: Callable[[str], None] = lambda _: None,
        spare: Callable[[str], None] = lambda _: None,
        present: bool = False,
        features: Sequence[str] = (),
    ) -> None:
        self._present = present
        self._features = tuple(sorted(features))
        self._built = built
        self._spare = spare
        self.watcher = watcher or Watcher()
        self._steps = 0
        self.lab = lab
        self.stages = {stage.name: stage for stage in stages}
        self.paths = paths
        self.run_id = run_id or new_run_id()
        self._others = others
        self.say = say
        self.mark = mark or say
        self.fresh = frozenset(fresh)
        self.session = session or SharedRun(paths, self.run_id, lab)
        self._locked = False
        self.was_locked = False
        self._ready: dict[str, Made] = {}

    def plan(self, until: str | None = None) -> list[Step]:
        """Say for each stage, in order, whether it is reused or built, and why.

        Args:
            until: Plan only this stage and the stages that it needs. The default is all stages.
        """
        return self._plan(until, ())

    def ahead(self, stage: str) -> list[Step]:
        """The plan of what `ensure` would do: what it ensured before is not looked at again."""
        return self._plan(stage, self._ready)

    def _plan(
        self, until: str | None, trusted: Collection[str], *, starts: bool = True
    ) -> list[Step]:
        steps: dict[str, Step] = {}
        for stage in self._upto(until):
            step = self._decide(stage, steps, trusted)
            if starts and step.action == REUSE and stage.name not in trusted:
                step = self._with_starts(stage, step)
            steps[stage.name] = step
        for stage in self._upto(until):
            step = steps[stage.name]
            record = self.record(stage.name)
            if step.action != BUILD or step.resumes or record is None:
                continue
            if starts and self._under_way(stage):
                continue  # who builds it has its nodes, and what is decided here is decided then
            for name in stage.consumes:
                if steps[name].action == REUSE and self._used_by(record, name):
                    steps[name] = Step(
                        name,
                        BUILD,
                        f"{stage.name} is built anew and needs it fresh",
                        steps[name].key,
                    )
        return list(steps.values())

    @overload
    def ensure(self, stage: type[M]) -> M: ...

    @overload
    def ensure(self, stage: str) -> Made: ...

    def ensure(self, stage: type[Made] | str) -> Made:
        """Build or reuse a stage and all stages that it needs.

        After the first failure of the lab in any process of the session, every call fails at once
        with a StageError that repeats that failure in one line.

        Args:
            stage: The name of the stage, or the type of what it makes.

        Returns:
            What the stage made.
        """
        name = stage if isinstance(stage, str) else stage.stage
        if name in self._ready:
            return self._ready[name]
        self.check_whole()
        try:
            # What this engine has ensured is not looked at again for each stage that needs it.
            for step in self._plan(name, self._ready, starts=False):
                if step.action == BUILD:
                    self._build(step.stage, name)
                elif self.stages[step.stage].shared:
                    files.used(self._record_path(self.stages[step.stage], step.key))
        except Exception as error:
            told = as_message(error)
            self.session.fail(told)
            if told is error:
                raise
            raise told from error
        record = self.record(name)
        assert record is not None  # it was just reused or built
        self._ready[name] = record.read(self.stages[name].makes)
        return self._ready[name]

    def destroy(self) -> None:
        """Remove the lab's own stages, last stage first. Shared stages stay.

        Nothing has to be written for it, and one stage that fails does not stop the others.

        Raises:
            KollalabError: Something could not be removed.
        """
        self._ready.clear()
        self.offline()
        removal = Attempts()
        with self.locked(REMOVE, removes=True):
            with removal.step():
                leftovers.remove(self.paths, self.say)
            for stage in reversed(self.stages.values()):
                if not stage.shared:
                    with removal.step():
                        self._remove(stage)
        removal.check(f"not all of lab {self.lab} could be removed")

    def spoil(self, name: str, why: str) -> None:
        """Record that a stage is of no use any more, so that it is built anew."""
        stage = self.stages[name]
        record = self.record(name)
        if record is not None:
            records.save(self._record_path(stage), record.with_status(records.FAILED, error=why))
        self.forget()

    def carry_over(self, name: str) -> None:
        """Record that a stage of the lab holds for its present inputs and needs, as it is.

        It stays what it was, so that saved states of it stay valid.

        Raises:
            StateError: The stage has no record.
        """
        steps = {step.stage: step for step in self._plan(name, (), starts=False)}
        stage, record = self.stages[name], self.record(name)
        if record is None:
            raise StateError(f"lab {self.lab} has no record of {name}")
        needs = {each: self._identity(each, steps) for each in stage.needs}
        carried = replace(record, key=steps[name].key, inputs=stage.inputs(), needs=needs)
        records.save(self._record_path(stage), carried)
        self.forget()

    def rework(
        self,
        name: str,
        create: Callable[[Work], Made],
        reason: str,
        *,
        marks: Inputs | None = None,
    ) -> Made:
        """Change a stage of the lab in place, which is then another build of it.

        Callers hold the lab's lock. The record says so from the beginning, as for every build.

        Args:
            name: The name of the stage.
            create: Does it, and returns what the stage is now.
            reason: Why, for people.
            marks: What the recorded inputs have more, by which the stage is not what a build from
                the present inputs would be. They enter the recorded key.

        Returns:
            What `create` returned.
        """
        steps = {step.stage: step for step in self._plan(name, (), starts=False)}
        step = replace(steps[name], action=REWORK, reason=reason)
        self.mark(f"{name}: {reason}")
        stage = self.stages[name]
        inputs = {**stage.inputs(), **(marks or {})}
        if marks:
            needs = {each: steps[each].key for each in stage.needs}
            step = replace(step, key=digest.digest(stage.name, stage.version, inputs, needs))
        self._create(stage, step, steps, create, inputs)
        self.forget()
        record = self.record(name)
        assert record is not None  # it was just made
        made: Made = record.read(self.stages[name].makes)
        return made

    def take_over(self, name: str, made: Made) -> None:
        """Record that a shared stage is what came from elsewhere, as if it had been built here.

        Args:
            name: The name of the stage.
            made: What the stage would have made.

        Raises:
            StageError: It does not serve.
        """
        stage = self.stages[name]
        assert stage.shared, "what belongs to a lab is recorded by its build"
        steps = {step.stage: step for step in self._plan(name, (), starts=False)}
        why = stage.gone(made)
        if why is not None:
            raise StageError(f"{name}: what came cannot be used", details=why)
        record = Record(
            stage=name,
            key=steps[name].key,
            run=self.run_id,
            status=records.READY,
            inputs=stage.inputs(),
            needs={each: self._identity(each, steps) for each in stage.needs},
            made=made.to_json(),
            created=records.now(),
        )
        records.save(self._record_path(stage, record.key), record)
        self.forget()

    @contextmanager
    def building_shared(self, name: str) -> Iterator[None]:
        """Hold the lock under which a shared stage is built. Not for the body of a build."""
        with self._shared_lock(self.stages[name]):
            yield

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """A block whose failures are not those of the run: it goes on in another way."""
        session = self.session
        self.session = Attempt(session)
        try:
            yield
        finally:
            self.session = session
            self.forget()

    def check_whole(self) -> None:
        """Raise a StageError with the first failure of the lab in this session, in one line."""
        failure = self.session.failure()
        if failure is not None:
            raise StageError(failure.line, log=Path(failure.log) if failure.log else None)

    def forget(self) -> None:
        """Forget the results of earlier calls, so that the next call reads the records again."""
        self._ready.clear()

    def offline(self) -> None:
        """Tell all stages to make no more network requests."""
        for stage in self.stages.values():
            stage.offline()

    def record(self, name: str, *, whole: bool = True) -> Record | None:
        """The record of a stage, or None if there is none.

        Args:
            name: The name of the stage.
            whole: Raise StateError for a damaged record. Otherwise a damaged record counts as none.
        """
        load = records.load if whole else records.load_if_whole
        return load(self._record_path(self.stages[name]))

    def made(self, kind: type[M]) -> M | None:
        """What a stage made, according to its record, or None if the stage is not ready."""
        record = self.record(kind.stage)
        return record.result(kind) if record is not None else None

    def key(self, name: str) -> str:
        """The key of a shared stage for its current inputs."""
        return self._shared_key(self.stages[name])

    def new_key(self, name: str) -> str:
        """The key that a lab would have of a stage that is built as this one was.

        The record may have another one: nodes that are built anew for a cloud with fewer features
        have the key of those that they replace.

        Raises:
            StateError: The stage, or one that it needs, has no record.
        """
        record, stage = self.record(name), self.stages[name]
        if record is None:
            raise StateError(f"lab {self.lab} has no record of {name}")
        needs = {
            each: record.needs[each] if self.stages[each].shared else self.new_key(each)
            for each in stage.needs
        }
        return digest.digest(name, stage.version, record.inputs, needs)

    def log_path(self, name: str) -> Path:
        """The log file of a stage."""
        root = self.paths.cache if self.stages[name].shared else self.paths.lab(self.lab)
        return root / "logs" / f"{name}.log"

    @property
    def lock_path(self) -> Path:
        """The file of the lab's lock."""
        return self.paths.state / "labs" / f"{self.lab}.lock"

    def is_built_elsewhere(self) -> bool:
        """Whether another process is building a stage of the lab at this moment."""
        return locks.held_for(self.lock_path).startswith(BUILDING)

    @contextmanager
    def locked(
        self, what: str, log: Path | None = None, *, removes: bool = False
    ) -> Iterator[None]:
        """Hold the lab's lock. Calls may be nested.

        Args:
            what: What the lock is held for, shown to processes that wait for it.
            log: The log file that waiting processes refer to.
            removes: The body only removes things, which works where nothing can be written.
        """
        if self._locked:
            yield
            return
        waiting = self._waiting(self.lab)
        with locks.exclusive(self.lock_path, what, log=log, waiting=waiting, removes=removes):
            self._locked = self.was_locked = True
            try:
                yield
            finally:
                self._locked = False

    def _upto(self, until: str | None) -> list[Stage[Any]]:
        if until is None:
            return list(self.stages.values())
        wanted: set[str] = set()
        todo = [until]
        while todo:
            name = todo.pop()
            if name not in wanted:
                wanted.add(name)
                todo += self.stages[name].needs
        return [stage for stage in self.stages.values() if stage.name in wanted]

    def _decide(
        self, stage: Stage[Any], steps: Mapping[str, Step], trusted: Collection[str] = ()
    ) -> Step:
        inputs = stage.inputs()
        needed_keys = {name: steps[name].key for name in stage.needs}
        key = digest.digest(stage.name, stage.version, inputs, needed_keys)
        record = records.load(self._record_path(stage, key))
        if record is None:
            return Step(stage.name, BUILD, self._why_new(stage, inputs), key)
        if stage.name in self.fresh and record.run != self.run_id:
            return Step(stage.name, BUILD, "asked for", key)
        needs = {name: self._identity(name, steps) for name in stage.needs}
        same = record.key == key or (
            stage.serves(record.inputs, inputs) and self._needs_serve(stage, record, steps)
        )
        if not same:
            found = list(digest.changes(record.inputs, inputs)) or ["what it builds on changed"]
            more = f" and {len(found) - SHOWN_CHANGES} more" if len(found) > SHOWN_CHANGES else ""
            return Step(stage.name, BUILD, ", ".join(found[:SHOWN_CHANGES]) + more, key)
        rebuilt = [
            name
            for name in stage.needs
            if steps[name].action == BUILD and not self.stages[name].shared
        ] or [name for name in stage.needs if record.needs.get(name) != needs[name]]
        if rebuilt:
            return Step(stage.name, BUILD, f"{rebuilt[0]} is rebuilt", key)
        if record.status != records.READY:
            if under_way := self._under_way(stage):
                return Step(stage.name, BUILD, under_way, key)
            stopped = f"it failed: {record.error}" if record.error else "an earlier run was stopped"
            if record.error == INTERRUPTED:
                stopped = "the earlier build was interrupted"
            continued = record.status != records.DESTROYING and not stage.reworked(record.inputs)
            resumes = stage.resumable and continued
            goes_on = "; goes on where that stopped" if resumes else ""
            return Step(stage.name, BUILD, f"{stopped}{goes_on}", key, resumes)
        told = stage.reworked(record.inputs)
        unchanged = f"unchanged since {record.created}{f'; {told}' if told else ''}"
        if stage.name in trusted:
            return Step(stage.name, REUSE, unchanged, record.key)
        reason = self._gone(stage, record)
        if reason is not None:
            # A ready shared stage stays ready while another process adds to it.
            if stage.shared and (under_way := self._under_way(stage)):
                reason = f"{reason}; {under_way}"
            return Step(stage.name, BUILD, reason, key, resumes=stage.shared and stage.resumable)
        return Step(stage.name, REUSE, unchanged, record.key)

    def _with_starts(self, stage: Stage[Any], step: Step) -> Step:
        """Add to a step that reuses a stage what of it does not run and will be started."""
        record = None if stage.shared else self.record(stage.name)
        halted = tuple(stage.halted(record.read(stage.makes))) if record is not None else ()
        if not halted:
            return step
        reason = f"{step.reason}; starts {', '.join(halted)}, which did not run"
        return replace(step, reason=reason, starts=halted)

    def halted(self, name: str) -> Sequence[str]:
        """What of a ready stage does not run and can be started; empty if it is not ready."""
        stage, record = self.stages[name], self.record(name)
        if record is None or record.status != records.READY:
            return ()
        made = record.read(stage.makes)
        return () if stage.gone(made) is not None else stage.halted(made)

    def _under_way(self, stage: Stage[Any]) -> str:
        """Which other process builds or removes the stage now, or an empty string."""
        if self._locked:
            return ""
        path = self.paths.shared_lock(stage.name) if stage.shared else self.lock_path
        held_for = locks.held_for(path)
        if held_for.startswith((f"{BUILDING}{stage.name}", REMOVE)):
            return f"under way: {locks.holder(path)}"
        return ""

    def _gone(self, stage: Stage[Any], record: Record) -> str | None:
        if self._present and not stage.shared:
            return None
        return stage.gone(record.read(stage.makes))

    def _needs_serve(self, stage: Stage[Any], record: Record, steps: Mapping[str, Step]) -> bool:
        return all(record.needs.get(n) == self._identity(n, steps) for n in stage.needs)

    def _why_new(self, stage: Stage[Any], inputs: Inputs) -> str:
        if not stage.shared:
            return "not built yet"
        others = sorted(
            self._record_path(stage, "x").parent.glob("*.json"), key=lambda p: p.stat().st_mtime
        )
        last = records.load(others[-1]) if others else None
        if last is None:
            return "not built yet"
        found = list(digest.changes(last.inputs, inputs)) or ["what it builds on changed"]
        return ", ".join(found[:SHOWN_CHANGES])

    def _identity(self, name: str, steps: Mapping[str, Step]) -> str:
        """What dependent stages record of a stage: the key if it is shared, else its run."""
        if self.stages[name].shared:
            return steps[name].key
        record = self.record(name)
        return record.run if record is not None else ""

    def _used_by(self, record: Record, name: str) -> bool:
        needed = self.record(name)
        return needed is not None and record.needs.get(name) == needed.run

    def _build(self, name: str, until: str) -> None:
        stage = self.stages[name]
        with self.locked(f"{BUILDING}{name}", self.log_path(name)), self._shared_lock(stage):
            # Another process may have built the stage, or failed, while this one waited.
            self.check_whole()
            steps = {step.stage: step for step in self.plan(until)}
            step = steps[name]
            if step.action != BUILD:
                return
            self._check_unused(stage, step)
            if not (step.resumes or stage.shared):
                self._spare(name)
            expected = self._expected(stage, step)
            takes = f", {expected.told()}" if (expected.seconds or 0.0) >= LONG else ""
            self.mark(f"{name}: build ({step.reason}){takes}")
            leftovers.remove(self.paths, self.say)
            if not step.resumes and (not stage.shared or self.record(name) is not None):
                self._remove(stage)
            try:
                self._create(stage, step, steps)
                self._built(name)
            except Exception as error:
                # Record the failure before the lock is released, so that waiting processes stop.
                self.session.fail(as_message(error), shared=stage.shared)
                raise

    def _check_unused(self, stage: Stage[Any], step: Step) -> None:
        record = self.record(stage.name)
        is_ours = stage.shared or record is None or record.status != records.READY
        if not is_ours and self._others():
            raise BusyError(
                f"another run uses lab {self.lab}, whose {stage.name} would have to be built anew",
                details=f"the reason: {step.reason}",
                hint="wait until that run has ended, or give this one a lab of another name",
            )

    def _waiting(self, what: str) -> Callable[[str], None]:
        return lambda text: self.mark(f"{what}: {text}")

    def _create(
        self,
        stage: Stage[Any],
        step: Step,
        steps: Mapping[str, Step],
        create: Callable[[Work], Made] | None = None,
        inputs: Inputs | None = None,
    ) -> None:
        path = self._record_path(stage, step.key)
        started = time.monotonic()
        before = records.load(path)
        # Other labs use a ready shared stage. Its record stays ready while more is added to it.
        grows = stage.shared and before is not None and before.status == records.READY
        record = Record(
            stage=stage.name,
            key=step.key,
            run=self.run_id,
            status=records.CREATING,
            inputs=stage.inputs() if inputs is None else inputs,
            created=records.now(),
            needs={name: self._identity(name, steps) for name in stage.needs},
        )
        if not grows:
            records.save(path, record)
        point(f"{stage.name}:recorded")
        work = self.work(stage, step.key, resumes=step.resumes, tag=self.tag(stage.name, step.key))
        self._steps = 0
        adopts = stage.adopts(work.needs)
        self.watcher.begin(stage.name, self._expected(stage, step))
        try:
            with ExitStack() as undo:
                made = (create or stage.create)(dataclasses.replace(work, undo=undo))
                point(f"{stage.name}:created")
                seconds = round(time.monotonic() - started, 1)
                ready = record.with_status(records.READY, made=made.to_json(), seconds=seconds)
                # What cannot be recorded, on a full disk for example, is undone.
                records.save(path, ready)
                undo.pop_all()
        except BaseException as error:
            brief = error.brief if isinstance(error, KollalabError) else type(error).__name__
            if isinstance(error, KeyboardInterrupt | SystemExit):
                brief = INTERRUPTED
            if not grows:
                # Until then it says that it is being created, which is removed just the same.
                with if_writable():
                    records.save(path, record.with_status(records.FAILED, error=brief))
            outcome = INTERRUPTED if brief == INTERRUPTED else "failed"
            self._remember(step, time.monotonic() - started, outcome, adopts=adopts)
            raise
        finally:
            self.watcher.end(stage.name)
        done = "changed" if step.action == REWORK else "built"
        self._remember(step, seconds, done, adopts=adopts)
        self.mark(f"{stage.name}: {done} in {seconds:.0f} s")

    def _expected(self, stage: Stage[Any], step: Step) -> Expected:
        """How long a build is expected to take. Nobody knows that of one that is continued."""
        if step.resumes or step.action == REWORK:
            return Expected()
        adopts = stage.adopts(tuple(self._made_by_needed(stage)))
        like = Likeness(self._features, stage.manner())
        history = read(self.paths.state / HISTORY)
        return expect(history, step.stage, step.key, like=like, adopts=adopts)

    def _remove(self, stage: Stage[Any]) -> None:
        path = self._record_path(stage)
        # A damaged record must not prevent the removal of resources, which are found by their tag.
        record = records.load_if_whole(path)
        if record is not None:
            with if_writable():
                records.save(path, record.with_status(records.DESTROYING))
        point(f"{stage.name}:destroying")
        key = record.key if record is not None else ""
        stage.destroy(self.work(stage, key, removes=True))
        point(f"{stage.name}:destroyed")
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            # A folder that is read-only refuses to remove even what is not there.
            if not path.exists():
                return
            raise HostError(
                f"{stage.name} of lab {self.lab} is removed, but its record cannot be",
                details=f"{path}: {error.strerror}",
                hint="let this user write there, then run the same again",
            ) from error

    def work(
        self,
        stage: Stage[Any],
        key: str,
        *,
        resumes: bool = False,
        removes: bool = False,
        tag: Tag | None = None,
    ) -> Work:
        """What a stage is given to build or destroy itself.

        Args:
            stage: The stage.
            key: The stage's key.
            resumes: Whether the build continues an earlier one that failed.
            removes: Whether the stage is destroyed. If not, its folder is created.
            tag: What the stage tags with what it makes. Not needed to destroy it.
        """
        folder, log = self._folder(stage), self.log_path(stage.name)
        if not removes:
            for each in (folder, log.parent):
                files.private(each)
            if not stage.shared:
                files.narrow(self.paths.lab(self.lab))
        return Work(
            key=key,
            tag=tag or Tag(self.lab, stage.name, key, self.run_id),
            began=time.time(),
            needs=tuple(self._made_by_needed(stage)),
            folder=folder,
            log=log,
            resumes=resumes,
            say=lambda text: self.say(f"{stage.name}: {text}"),
            step=lambda text: self._step(stage.name, text),
        )

    def tag(self, stage: str, key: str = "") -> Tag:
        """What a stage of this run tags with what it makes. The key is that of a shared stage."""
        key = key or self.key(stage)
        return owners.tag(self.lab, stage, key, self.run_id, self.paths.state)

    def _step(self, stage: str, text: str) -> None:
        self._steps += 1
        self.watcher.step(stage, text)

    def _made_by_needed(self, stage: Stage[Any]) -> Iterator[Made]:
        for name in stage.needs:
            # A stage can be destroyed without this; `Work.made` raises if a build needs it.
            with suppress(StateError):
                record = self.record(name, whole=False)
                if record is not None and record.made:
                    yield record.read(self.stages[name].makes)

    def _folder(self, stage: Stage[Any]) -> Path:
        if stage.shared:
            return self.paths.shared(stage.name)
        return self.paths.lab(self.lab) / stage.name

    def _record_path(self, stage: Stage[Any], key: str | None = None) -> Path:
        if not stage.shared:
            return self.paths.lab(self.lab) / f"{stage.name}.json"
        if key is None:
            key = self._shared_key(stage)
        return self._folder(stage) / "records" / f"{key}.json"

    def _shared_key(self, stage: Stage[Any]) -> str:
        needed = {name: self._shared_key(self.stages[name]) for name in stage.needs}
        return digest.digest(stage.name, stage.version, stage.inputs(), needed)

    @contextmanager
    def _shared_lock(self, stage: Stage[Any]) -> Iterator[None]:
        if not stage.shared:
            yield
            return
        path = self.paths.shared_lock(stage.name)
        what, log = f"build {stage.name} for {self.lab}", self.log_path(stage.name)
        with locks.exclusive(path, what, log=log, waiting=self._waiting(stage.name)):
            yield

    def _remember(self, step: Step, seconds: float, outcome: str, *, adopts: bool) -> None:
        line = {
            "lab": self.lab,
            "run": self.run_id,
            "stage": step.stage,
            "key": step.key,
            "reason": step.reason,
            "seconds": round(seconds, 1),
            "outcome": outcome,
            "resumed": step.resumes,
            "steps": self._steps,
            "adopts": adopts,
            "features": self._features,
            "manner": self.stages[step.stage].manner(),
            "time": records.now(),
        }
        with if_writable():
            files.append(self.paths.state / HISTORY, line)
