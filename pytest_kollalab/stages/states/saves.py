"""The saved states of a lab: its nodes at one moment, with the records of the cloud on them."""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pytest_kollalab.engine import records
from pytest_kollalab.providers.base import Provider, Saving
from pytest_kollalab.system import files
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import (
    ConfigError,
    HostError,
    StageError,
    StateError,
    if_writable,
)
from pytest_kollalab.system.nearest import nearest

GOLDEN = "golden"
# Who saved the golden state of a deploy.
DEPLOY = "deploy"
NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")
FOLDER = "saves"
JOURNAL = "doing"
# In the folder of a lab whose upgrade has begun and not ended.
UPGRADE = "upgrading"
SAVING, RESTORING, CLEARING = "save", "rollback", "clear"
CLOUD = "cloud"
# The stages that belong to one lab and are restored from its saved states.
OWN = ("nodes", CLOUD)


@dataclass(frozen=True)
class Save:
    """A saved state of a lab.

    Attributes:
        name: The name that the user gave it.
        label: The provider's name for it.
        made: When it was saved, as an ISO 8601 time in UTC.
        nodes: The run that built the nodes.
        cloud: The run that built the cloud. Empty if there was no cloud.
        seconds: How long saving took.
        size: Bytes on disk, or 0 if unknown.
        by: The run that saved it, or `deploy` for the golden state of a deploy. Empty if it was
            saved by an older version.
    """

    name: str
    label: str
    made: str
    nodes: str
    cloud: str = ""
    seconds: float = 0.0
    size: int = 0
    by: str = ""

    @property
    def is_automatic(self) -> bool:
        """Whether no user asked for it."""
        return self.by == DEPLOY if self.by else self.name == GOLDEN


@dataclass(frozen=True)
class Doing:
    """An operation on the saved states. Written to disk before the operation begins."""

    what: str
    save: Save


class Saves:
    """The saved states of a lab. Callers must hold the lab's lock.

    The provider's name for a state is unique. A new state can so be completed before an older one
    of the same name is removed.

    Args:
        lab: Name of the lab.
        folder: The lab's state folder.
        provider: The provider of the lab's nodes.
    """

    def __init__(self, lab: str, folder: Path, provider: Provider) -> None:
        self.lab = lab
        self.root = folder
        self.folder = folder / FOLDER
        self.provider = provider

    def saving(self) -> Saving:
        """The part of the provider that saves nodes.

        Raises:
            HostError: The provider cannot save nodes.
        """
        provider = self.provider
        if provider.saving is None:
            raise HostError(
                f"nodes of the provider {provider.name} cannot be saved",
                hint="make the lab with the provider docker or libvirt",
            )
        return provider.saving

    def list(self) -> list[Save]:
        """The saved states of the current nodes, oldest first. Does not ask the provider."""
        nodes = self._run("nodes")
        return sorted((s for s in self._read() if s.nodes == nodes), key=lambda save: save.made)

    def unfinished(self) -> Doing | None:
        """The operation that a killed run left unfinished, or None."""
        try:
            table = json.loads((self.folder / JOURNAL).read_text(encoding="utf-8"))
            return Doing(table["what"], Save(**table["save"]))
        except FileNotFoundError:
            return None
        except (ValueError, TypeError, KeyError) as error:
            raise StateError(
                f"{self.folder / JOURNAL} is damaged",
                details=repr(error),
                hint="remove it, then roll back or clear what `kollalab show` lists",
            ) from error

    def finish(self) -> Doing | None:
        """Complete or undo the operation that a killed run left unfinished.

        Returns:
            That operation, or None if there was none.
        """
        doing = self.unfinished()
        if doing is None:
            return None
        if doing.save.nodes == self._run("nodes"):
            if doing.what == RESTORING:
                self._restore(doing.save)
            else:
                self._forget(doing.save)
        self._done()
        return doing

    def save(self, name: str, by: str = "") -> Save:
        """Save the current nodes, then remove older states of the same name.

        Args:
            name: The name of the state.
            by: The run that saves it, or `deploy`.
        """
        check(name)
        saving = self.saving()
        self.finish()
        older = [save for save in self._read() if save.name == name]
        label = f"{name}.{uuid.uuid4().hex[:6]}"
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        save = Save(name, label, made, self._run("nodes"), self._run(CLOUD), by=by)
        self._begin(SAVING, save)
        started = time.monotonic()
        try:
            self._keep_cloud(save)
            size = saving.save(self.lab, label)
        except Exception:
            # If this fails as well, the journal stays, and the next run tries again.
            with suppress(Exception):
                saving.clear(self.lab, label)
                self._forget_files(save)
                self._done()
            raise
        seconds = round(time.monotonic() - started, 1)
        save = replace(save, seconds=seconds, size=size)
        files.write(self.folder / f"{label}.json", json.dumps(asdict(save)) + "\n")
        point("saves:recorded")
        self._done()
        for each in older:
            self._clear(each)
        return save

    def restore(self, name: str) -> Save:
        """Bring the nodes and the records of the cloud on them back to a saved state."""
        saving = self.saving()
        self.finish()
        save = self.find(name)
        if save.label not in saving.saved(self.lab):
            raise StageError(
                f"the saved state {name} of lab {self.lab} is not whole any more",
                details="some nodes no longer have it; nothing has been changed",
                hint=f"kollalab clear {name}; then save anew",
            )
        self._begin(RESTORING, save)
        self._restore(save)
        self._done()
        return save

    def clear(self, name: str) -> None:
        """Remove a saved state, even an incomplete one."""
        self.saving()
        self.finish()
        self.find(name)
        for save in self._read():
            if save.name == name:
                self._clear(save)

    def find(self, name: str) -> Save:
        """Return the newest state of that name.

        Raises:
            ConfigError: There is no such state. The hint names a similar one.
        """
        found = [save for save in self.list() if save.name == name]
        if found:
            return found[-1]
        known = [save.name for save in self.list()]
        hint = nearest(name, known) if known else "kollalab save NAME makes one"
        raise ConfigError(f"lab {self.lab} has no saved state {name!r}", hint=hint)

    def _restore(self, save: Save) -> None:
        # Remove the record first, so that no process uses the cloud while the nodes change.
        self._put_cloud_aside(save)
        self.saving().restore(self.lab, save.label)
        self._put_cloud_back(save)
        (self.root / UPGRADE).unlink(missing_ok=True)
        point("saves:restored-records")

    def _keep_cloud(self, save: Save) -> None:
        kept = self.folder / save.label
        files.private(kept)
        if save.cloud:
            for stage in OWN:
                shutil.copy2(self.root / f"{stage}.json", kept)
            shutil.copytree(self.root / CLOUD, kept / CLOUD, symlinks=True)

    def _put_cloud_aside(self, save: Save) -> None:
        if save.cloud != self._run(CLOUD):
            (self.root / f"{CLOUD}.json").unlink(missing_ok=True)
            point("saves:cloud-forgotten")

    def _put_cloud_back(self, save: Save) -> None:
        if save.cloud == self._run(CLOUD):
            return
        kept = self.folder / save.label
        shutil.rmtree(self.root / CLOUD, ignore_errors=True)
        if save.cloud:
            shutil.copytree(kept / CLOUD, self.root / CLOUD, symlinks=True)
            # An upgrade changes what the nodes were made for. States of an older version have no
            # record of them.
            for name in (f"{stage}.json" for stage in OWN):
                if (kept / name).exists():
                    files.write(self.root / name, (kept / name).read_text(encoding="utf-8"))

    def _clear(self, save: Save) -> None:
        # What is removed needs no room: a full disk can be emptied.
        with if_writable():
            self._begin(CLEARING, save)
        self._forget(save)
        self._done()

    def _forget(self, save: Save) -> None:
        self.saving().clear(self.lab, save.label)
        self._forget_files(save)

    def _forget_files(self, save: Save) -> None:
        (self.folder / f"{save.label}.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder / save.label, ignore_errors=True)

    def _begin(self, what: str, save: Save) -> None:
        files.private(self.folder)
        files.write(self.folder / JOURNAL, json.dumps(asdict(Doing(what, save))) + "\n")
        point(f"saves:{what}-begun")

    def _done(self) -> None:
        (self.folder / JOURNAL).unlink(missing_ok=True)

    def _run(self, stage: str) -> str:
        record = records.load(self.root / f"{stage}.json")
        return record.run if record is not None and record.status == records.READY else ""

    def _read(self) -> Iterator[Save]:
        for path in sorted(self.folder.glob("*.json")):
            try:
                yield Save(**json.loads(path.read_text(encoding="utf-8")))
            except (ValueError, TypeError) as error:
                raise StateError(
                    f"{path} is damaged", details=repr(error), hint=f"remove {path}"
                ) from error


def of_user(folder: Path) -> Sequence[Save]:
    """The states that somebody saved by name, oldest first, also incomplete ones.

    A state whose file is damaged is among them.

    Args:
        folder: The state folder of the lab.
    """
    found = []
    for path in sorted((folder / FOLDER).glob("*.json")):
        try:
            save = Save(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            save = Save(path.stem.partition(".")[0], path.stem, "an unknown time", "")
        if not save.is_automatic:
            found.append(save)
    return sorted(found, key=lambda save: save.made)


def check(name: str) -> None:
    """Check the name of a saved state.

    Raises:
        ConfigError: The name is not valid.
    """
    if not NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a saved state",
            hint="use a lower-case letter, then up to 29 lower-case letters, digits, hyphens",
        )
