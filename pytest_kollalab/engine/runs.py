"""Shares failures and progress between the processes of one run, in a folder of the run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_kollalab.settings.config import Options, options_of
from pytest_kollalab.system import files, process
from pytest_kollalab.system.commands import carrying
from pytest_kollalab.system.errors import KollalabError, if_writable
from pytest_kollalab.system.paths import Paths
from pytest_kollalab.system.telling import telling

# Followed by the name of the lab, or by nothing for a failure of a shared stage.
FAILURE = "failure-"
TEMPORARY = "failed-"
LINES = "lines"
USED = "used-"
GIVEN_UP = "given-up-"
OWNER = "owner-"
SAID = "said-"


@dataclass(frozen=True)
class LabFailure:
    """The first failure of a lab in a session.

    Attributes:
        brief: The error in one line.
        text: The whole message.
        log: The path of the log file, or an empty string.
    """

    brief: str
    text: str
    log: str = ""

    @property
    def line(self) -> str:
        """The message of every test after the first one that failed."""
        return f"the lab is broken: {self.brief}"


@dataclass(frozen=True)
class Line:
    """A line of progress and the process that wrote it."""

    who: str
    text: str


def new_run_id() -> str:
    """Return a new identifier for one run of the program."""
    return uuid.uuid4().hex[:8]


class SharedRun:
    """One run, which several processes may share through a folder.

    A run of a single process has no folder and keeps its failures in memory.

    Args:
        paths: Folders for state and cache.
        name: The identifier of the run.
        lab: Report the failures of this lab and of the shared stages.
        given: The options that commands in hints need to mean this lab; by default its name.
    """

    def __init__(
        self, paths: Paths, name: str, lab: str = "", given: Mapping[str, str] | None = None
    ) -> None:
        self.paths = paths
        self.name = name
        self.lab = lab
        self.given = options_of(Options(name=lab or Options.name)) if given is None else given
        self.folder = paths.state / "runs" / name
        self._failures: list[LabFailure] = []
        self._said: set[str] = set()
        self._given_up: set[str] = set()

    def open(self) -> None:
        """Create the folder with this process as one of its owners."""
        files.private(self.folder)
        (self.folder / f"{OWNER}{process.mark()}").touch()

    def join(self) -> None:
        """Become one of the owners of the folder if it exists."""
        if self.folder.is_dir():
            self.open()

    def close(self) -> None:
        """Remove the folder. The failures stay in memory."""
        self._failures = self.failures()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fail(self, error: Exception, *, shared: bool = False) -> LabFailure:
        """Record a failure if it is the lab's first one. Commands in its hint get their options.

        Args:
            error: The error to record.
            shared: Whether a shared stage failed. Such a failure counts for all labs of the run.

        Returns:
            The lab's first failure.
        """
        known = self.failure()
        if known is not None:
            return known
        if isinstance(error, KollalabError):
            error.hint = carrying(error.hint, self.given)
        failure = _failure(error)
        if not self.folder.is_dir():
            self._failures = [failure]
            return failure
        self._failures = [failure]
        with if_writable():
            self._record(failure, f"{FAILURE}{'' if shared else self.lab}")
        return self.failure() or failure

    def _record(self, failure: LabFailure, name: str) -> None:
        temporary = self.folder / f"{TEMPORARY}{process.mark()}"
        try:
            temporary.write_text(json.dumps(asdict(failure)), encoding="utf-8")
            # Creating the link fails if another process has recorded a failure first.
            with contextlib.suppress(FileExistsError):
                os.link(temporary, self.folder / name)
        finally:
            temporary.unlink(missing_ok=True)

    def failure(self) -> LabFailure | None:
        """The first failure of this lab or of a shared stage in any process, or None."""
        found = (_read(self.folder / f"{FAILURE}{of}") for of in ("", self.lab))
        return next(filter(None, found), next(iter(self._failures), None))

    def give_up(self, what: str) -> None:
        """Note for all processes of the run that something is not tried again."""
        self._given_up.add(what)
        if self.folder.is_dir():
            with if_writable():
                (self.folder / f"{GIVEN_UP}{what}").touch()

    def has_given_up(self, what: str) -> bool:
        """Whether a process of the run has given something up."""
        return what in self._given_up or (self.folder / f"{GIVEN_UP}{what}").exists()

    def failures(self) -> list[LabFailure]:
        """The first failure of each lab of the run."""
        found = (_read(path) for path in sorted(self.folder.glob(f"{FAILURE}*")))
        return [failure for failure in found if failure is not None] or self._failures

    def use(self) -> None:
        """Record that this process uses the lab, so that others remove it if this one dies."""
        if self.folder.is_dir():
            (self.folder / f"{USED}{process.mark()}").touch()

    def is_first(self, what: str) -> bool:
        """Whether no process of the run has asked this before: what is said once is said then."""
        with if_writable():
            try:
                (self.folder / f"{SAID}{what}").touch(exist_ok=False)
            except FileExistsError:
                return False
            except FileNotFoundError:
                pass  # of a single process
        first = what not in self._said
        self._said.add(what)
        return first

    def is_used(self) -> bool:
        """Whether any process of the run has used the lab."""
        return any(self.folder.glob(f"{USED}*"))

    def users(self) -> list[int]:
        """The PIDs of the running processes that have used the lab."""
        return [pid for path in self.folder.glob(f"{USED}*") if (pid := process.living(path.name))]

    def tell(self, line: Line) -> None:
        """Pass a line of progress on to the process that has the terminal."""
        if not self.folder.is_dir():
            return
        data = (json.dumps(asdict(line)) + "\n").encode()
        with telling():
            handle = os.open(self.folder / LINES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                # A single write keeps the lines of several processes apart.
                os.write(handle, data)
            finally:
                os.close(handle)

    def lines(self) -> Iterator[Line | None]:
        """Yield all lines so far, then None, then the lines since, and so on without end.

        A line that several processes write, for example while they wait for the same lock, is
        yielded once.
        """
        said_by: dict[str, str] = {}
        read, rest = 0, b""
        while True:
            data = b""
            with contextlib.suppress(FileNotFoundError), (self.folder / LINES).open("rb") as file:
                file.seek(read)
                data = file.read()
            read += len(data)
            *whole, rest = (rest + data).split(b"\n")
            for text in whole:
                try:
                    line = Line(**json.loads(text))
                except (ValueError, TypeError):
                    continue  # cut short by a full disk
                if said_by.setdefault(line.text, line.who) == line.who:
                    yield line
            yield None


class Attempt(SharedRun):
    """A part of a run whose failures the others do not hear of.

    Args:
        of: The run.
    """

    def __init__(self, of: SharedRun) -> None:
        self.of = of
        super().__init__(of.paths, of.name, of.lab, of.given)

    def fail(self, error: Exception, *, shared: bool = False) -> LabFailure:
        """Describe a failure. It is recorded nowhere."""
        return _failure(error)

    def failure(self) -> LabFailure | None:
        """The failure of the run before the attempt, if there is one."""
        return self.of.failure()


def abandoned(paths: Paths) -> Iterator[Path]:
    """The folders of runs whose processes have all ended."""
    for folder in (paths.state / "runs").glob("*"):
        owners = list(folder.glob(f"{OWNER}*"))
        if owners and all(process.left_by_the_dead(path.name) for path in owners):
            yield folder


def _read(path: Path) -> LabFailure | None:
    with contextlib.suppress(FileNotFoundError):
        return LabFailure(**json.loads(path.read_text(encoding="utf-8")))
    return None


def _failure(error: Exception) -> LabFailure:
    if isinstance(error, KollalabError):
        return LabFailure(error.brief, str(error), str(error.log or ""))
    brief = f"{type(error).__name__}: {error}".splitlines()[0]
    return LabFailure(brief, brief)
