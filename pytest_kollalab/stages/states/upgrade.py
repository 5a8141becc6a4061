"""Upgrades the cloud of a lab to the next release of OpenStack."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_kollalab.releases import releases
from pytest_kollalab.stages.states.saves import UPGRADE, check
from pytest_kollalab.system import files
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import ConfigError, KollalabError, StageError, StateError

if TYPE_CHECKING:
    from pytest_kollalab.engine.engine import Engine
    from pytest_kollalab.features.base import Feature
    from pytest_kollalab.providers.base import NodesMade
    from pytest_kollalab.stages.cloud.made import CloudMade
    from pytest_kollalab.stages.cloud.wanted import WantedCloud
    from pytest_kollalab.stages.states.rollback import Rewind

# The names of OpenStack's releases since 2023.
RELEASE = re.compile(r"20\d\d\.[12]")


@dataclass(frozen=True)
class Upgrading:
    """An upgrade that has begun. Its file is there until it has ended, or is rolled back.

    Attributes:
        source: The release that the cloud had.
        to: The release that it gets.
        state: The saved state of the lab before the upgrade. Empty if it could not be saved.
    """

    source: str
    to: str
    state: str = ""

    def error(self, lab: str) -> StageError:
        """The error of whoever needs the cloud meanwhile."""
        again = f"kollalab upgrade --to {self.to} --name {lab} goes on with it"
        back = f"kollalab rollback {self.state} --name {lab} goes back; " if self.state else ""
        return StageError(
            f"the upgrade of lab {lab} from {self.source} to {self.to} has not ended",
            details="some of its services are of one release and some of the other",
            hint=f"{back}{again}",
        )


def under_way(folder: Path) -> Upgrading | None:
    """The upgrade of a lab that has begun and not ended, or None.

    Args:
        folder: The state folder of the lab.

    Raises:
        StateError: The file that tells so is damaged.
    """
    path = folder / UPGRADE
    try:
        return Upgrading(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise StateError(
            f"{path} is damaged",
            details=repr(error),
            hint="an upgrade has not ended: roll the lab back, or remove it with kollalab down",
        ) from error


def check_path(source: str, to: str) -> None:
    """Check that a cloud of one release can be upgraded to another.

    Raises:
        ConfigError: The release is unknown, older, the same, or not the next one.
    """
    known = list(releases.RELEASES)
    if any(RELEASE.fullmatch(each) and each < known[0] for each in (source, to)):
        raise ConfigError(
            f"an upgrade from {source} to {to} is not possible",
            details="Debian's RabbitMQ would go from 3.10 to 4.0, and Kolla-Ansible accepts no "
            "version but the next minor one",
            hint=f"upgrades begin at {known[0]}",
        )
    releases.get(to)
    if to == source:
        raise ConfigError(f"the cloud has the release {to} already")
    if to < source:
        raise ConfigError(
            f"a cloud of {source} does not go back to {to}",
            details="the databases are those of the newer release",
            hint="kollalab rollback STATE brings back a state that was saved before the upgrade",
        )
    if source not in known:
        raise ConfigError(
            f"a cloud of {source} cannot be upgraded",
            details=f"this version knows {' and '.join(known)}",
        )
    following = known[known.index(source) + 1]
    if to != following:
        raise ConfigError(
            f"an upgrade from {source} to {to} leaves out {following}",
            hint=f"kollalab upgrade --to {following} first",
        )


def state_name(to: str) -> str:
    """The name of the state that is saved before an upgrade to a release."""
    name = f"before-{to.replace('.', '-')}"
    check(name)
    return name


class Upgrade:
    """Upgrades the cloud of a lab. Creating the object does no I/O.

    Args:
        rewind: Saves the lab and rolls it back. Its engine is that of the new release.
        folder: The state folder of the lab.
        source: The release that the cloud has.
        to: The next release.
        former: The features of the cloud as it is.
        cloud: What is wanted of the upgraded cloud.
    """

    def __init__(
        self,
        rewind: Rewind,
        folder: Path,
        *,
        source: str,
        to: str,
        former: Sequence[Feature],
        cloud: WantedCloud,
    ) -> None:
        self.rewind = rewind
        self.engine: Engine = rewind.engine
        self.folder = folder
        self.source = source
        self.to = to
        self.former = former
        self.cloud = cloud

    def run(self) -> CloudMade:
        """Save the lab, upgrade its services in place, and wait until the cloud is healthy.

        Tools and images of the new release must be ready. An upgrade to the same release that has
        begun before is continued.

        Raises:
            StageError: The lab has no healthy cloud, or the upgrade fails.
            BusyError: Another run uses the lab.
        """
        started = time.monotonic()
        with self.rewind.changing(f"upgrade to {self.to}") as nodes:
            begun = under_way(self.folder)
            if begun is not None and begun.to != self.to:
                raise begun.error(self.engine.lab)
            if begun is None:
                self._check_healthy(nodes)
                begun = Upgrading(self.source, self.to, self._save())
            self._begin(begun)
            made = self._upgrade(begun)
            # Until then a kill leaves an upgrade that has not ended.
            self.rewind.renew_golden()
            (self.folder / UPGRADE).unlink()
        seconds = time.monotonic() - started
        self.engine.say(f"upgraded from {self.source} to {self.to} in {seconds:.0f} s")
        return made

    def _check_healthy(self, nodes: NodesMade) -> None:
        from pytest_kollalab.stages.cloud import health
        from pytest_kollalab.stages.cloud.connect import connect
        from pytest_kollalab.stages.cloud.made import CloudMade
        from pytest_kollalab.system.ssh import Ssh

        cloud = self.engine.made(CloudMade)
        if cloud is None:
            raise StageError(
                f"lab {self.engine.lab} has no cloud to upgrade",
                hint=f"kollalab up --name {self.engine.lab}",
            )
        log = self.engine.log_path("cloud")
        with connect(cloud) as connection:
            try:
                health.wait_until_healthy(
                    self.former,
                    nodes.nodes,
                    Ssh(nodes.ssh_config),
                    connection,
                    slowness=self.cloud.provider.slowness,
                    log=log,
                )
            except StageError as error:
                raise StageError(
                    f"lab {self.engine.lab} is not healthy, so it is not upgraded",
                    details=error.details,
                    hint="mend it, or roll it back to a state in which it was healthy",
                    log=error.log,
                ) from error

    def _save(self) -> str:
        name = state_name(self.to)
        if self.cloud.provider.saving is None:
            self.engine.say(
                f"nodes of the provider {self.cloud.provider.name} cannot be saved: "
                "if the upgrade fails, there is no way back"
            )
            return ""
        return self.rewind.save(name).name

    def _begin(self, begun: Upgrading) -> None:
        files.write(self.folder / UPGRADE, json.dumps(asdict(begun)) + "\n")
        point("upgrade:begun")
        # The nodes stay. What they pull is of the new release from here on.
        self.engine.carry_over("nodes")

    def _upgrade(self, begun: Upgrading) -> CloudMade:
        from pytest_kollalab.stages.cloud.made import CloudMade
        from pytest_kollalab.stages.cloud.making import Making

        try:
            made = self.engine.rework(
                "cloud",
                lambda work: Making(self.cloud).upgrade(work, self.source),
                f"upgrade from {self.source} to {self.to}",
            )
        except KollalabError as error:
            ended = begun.error(self.engine.lab)
            raise StageError(
                f"the upgrade of lab {self.engine.lab} to {self.to} failed: {error.brief}",
                details=error.details,
                hint=ended.hint,
                log=error.log,
            ) from error
        assert isinstance(made, CloudMade)
        return made
