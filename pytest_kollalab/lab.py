"""The lab: two nodes, their networks and the cloud on them, as one object."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab import state
from pytest_kollalab.config import STAGES, Config, Options
from pytest_kollalab.engine import BUILD, Engine, Step
from pytest_kollalab.errors import BusyError, HostError, StageError
from pytest_kollalab.lock import Lease
from pytest_kollalab.paths import Paths, default_paths

if TYPE_CHECKING:
    from openstack.connection import Connection

    from pytest_kollalab.features import Feature
    from pytest_kollalab.providers import Provider
    from pytest_kollalab.ssh import Ssh


class Lab:
    """A lab by its name; making the object touches nothing.

    `features` are the names of the features that the cloud must have. `say` shows a line of
    progress.
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
    ) -> None:
        self.config = config or Config()
        self.options = options or Options()
        self.name = self.options.name
        self.paths = paths or default_paths()
        self.feature_names = tuple(dict.fromkeys([*self.config.features, *features]))
        self.lease = Lease(self.paths.state / "labs" / f"{self.name}.lease")
        self._run_id = run_id
        self._say = say
        self._announced = False

    @property
    def folder(self) -> Path:
        """The lab's folder of state: records, logs, keys, passwords."""
        return self.paths.lab(self.name)

    @cached_property
    def provider(self) -> Provider:
        """Where the nodes come from."""
        from pytest_kollalab.providers import choose

        return choose(self.options, self.paths)

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """The features of the lab, those that others require included."""
        from pytest_kollalab.features import resolve

        return resolve(self.feature_names)

    @cached_property
    def engine(self) -> Engine:
        """The engine with this lab's four stages."""
        from pytest_kollalab.features import images
        from pytest_kollalab.stages.cloud import CloudStage
        from pytest_kollalab.stages.images import ImagesStage
        from pytest_kollalab.stages.nodes import NodesStage
        from pytest_kollalab.stages.tools import ToolsStage

        given = (self.config, self.options, self.paths)
        stages = (
            ToolsStage(*given),
            ImagesStage(*given, names=images(self.features)),
            NodesStage(*given, provider=self.provider),
            CloudStage(*given, features=self.features, provider=self.provider),
        )
        return Engine(
            self.name,
            stages,
            self.paths,
            fresh=self.options.fresh,
            run_id=self._run_id,
            say=self._say,
        )

    def plan(self, until: str | None = None) -> list[Step]:
        """What each stage will do and why; changes nothing."""
        return self.engine.plan(until or self.options.until)

    def ensure(self, stage: str) -> Mapping[str, Any]:
        """Have a stage and all that it builds on; returns what the stage made.

        Raises HostError when the host lacks something (everything that it lacks, at once),
        StageError when a stage cannot be built or lies beyond the option `until`.
        """
        if STAGES.index(stage) > STAGES.index(self.options.until):
            raise StageError(
                f"stage {stage} lies beyond {self.options.until}, where this run was told to stop",
                hint="leave out the option until, or name a later stage",
            )
        self.lease.take()
        if not self._announced:
            self._announced = True
            self._announce(stage)
        return self.engine.ensure(stage)

    def up(self) -> None:
        """Bring the lab up as far as the option `until` says."""
        self.ensure(self.options.until)

    def destroy(self, *, force: bool = False) -> None:
        """Remove everything that belongs to the lab; caches stay.

        Raises BusyError when another process uses the lab, unless `force`.
        """
        if self.lease.is_shared() and not force:
            raise BusyError(
                f"lab {self.name} is in use by another process",
                hint="end that one first; the last one out removes the lab",
            )
        self.engine.destroy()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.lease.release()

    def exists(self) -> bool:
        """Whether there is a record of any of the lab's own stages."""
        return self.folder.is_dir() and any(self.folder.glob("*.json"))

    def records(self) -> dict[str, state.Record]:
        """The records of the stages that are there, in order."""
        found = {}
        for name in ("nodes", "cloud"):
            record = state.load(self.folder / f"{name}.json")
            if record is not None:
                found[name] = record
        return found

    def ssh(self) -> Ssh:
        """The way to run commands on the nodes. Raises StageError when there are none."""
        from pytest_kollalab.ssh import Ssh

        record = self.records().get("nodes")
        if record is None or record.status != state.READY:
            raise StageError(
                f"lab {self.name} has no nodes", hint=f"kollalab up --name {self.name}"
            )
        return Ssh(Path(record.made["ssh_config"]))

    def connect(self) -> Connection:
        """An openstacksdk connection as the cloud's administrator."""
        from pytest_kollalab.cloud.connect import connect

        return connect(self.ensure("cloud"))

    def _announce(self, stage: str) -> None:
        steps = self.engine.plan(stage)
        for step in steps:
            self._say(str(step))
        if stage != "tools" and any(step.action == BUILD for step in steps):
            self._check_host()

    def _check_host(self) -> None:
        problems = self.provider.problems()
        if problems:
            raise HostError(
                f"this host cannot run a lab with the provider {self.provider.name}",
                details="\n".join(problem.what for problem in problems),
                hint="; ".join(dict.fromkeys(problem.fix for problem in problems)),
            )
