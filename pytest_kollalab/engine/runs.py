"""The session: what the processes of one run tell each other, in a folder of the run's own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_kollalab.system import process
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.paths import Paths

# Of what all labs share, and with the name of a lab of that one.
FAILURE = "failure-"
TEMPORARY = "failed-"
LINES = "lines"
USED = "used-"
OWNER = "owner-"


@dataclass(frozen=True)
class LabFailure:
    """The first failure of a lab in a session: one line, the whole message, where its log is."""

    brief: str
    text: str
    log: str = ""

    @property
    def line(self) -> str:
        """What every test but the first has to say."""
        return f"the lab is broken: {self.brief}"


@dataclass(frozen=True)
class Line:
    """A line of progress, and who said it."""

    who: str
    text: str


def new_run_id() -> str:
    """A name for one run of the program."""
    return uuid.uuid4().hex[:8]


class SharedRun:
    """One run, by its name. Its folder exists as long as several processes share the run.

    `lab` is the one whose failures count here, beside those of what all labs share.
    Without the folder all is kept in memory: a single process needs no files.
    """

    def __init__(self, paths: Paths, name: str, lab: str = "") -> None:
        self.name = name
        self.lab = lab
        self.folder = paths.state / "runs" / name
        self._failures: list[LabFailure] = []

    def open(self) -> None:
        """Make the folder; this process is one of its owners."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / f"{OWNER}{process.mark()}").touch()

    def join(self) -> None:
        """Become one of the owners of the folder, if it is there."""
        if self.folder.is_dir():
            self.open()

    def close(self) -> None:
        """Remove the folder; failures are remembered."""
        self._failures = self.failures()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fail(self, error: Exception, *, shared: bool = False) -> LabFailure:
        """Record the lab's first failure and return it; those that follow from it are not recorded.

        One of what labs share is that of all of them.
        """
        known = self.failure()
        if known is not None:
            return known
        failure = _failure(error)
        if not self.folder.is_dir():
            self._failures = [failure]
            return failure
        temporary = self.folder / f"{TEMPORARY}{process.mark()}"
        temporary.write_text(json.dumps(asdict(failure)), encoding="utf-8")
        # A link is refused when the name is taken: the first one stays.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, self.folder / f"{FAILURE}{'' if shared else self.lab}")
        temporary.unlink()
        return self.failure() or failure

    def failure(self) -> LabFailure | None:
        """The first failure of any of the run's processes that hinders this lab, or None."""
        found = (_read(self.folder / f"{FAILURE}{of}") for of in ("", self.lab))
        return next(filter(None, found), next(iter(self._failures), None))

    def failures(self) -> list[LabFailure]:
        """The first failure of each lab of the run."""
        found = (_read(path) for path in sorted(self.folder.glob(f"{FAILURE}*")))
        return [failure for failure in found if failure is not None] or self._failures

    def use(self) -> None:
        """Remember that the lab is used, for whoever has to remove it: this process may die."""
        if self.folder.is_dir():
            (self.folder / f"{USED}{process.mark()}").touch()

    def is_used(self) -> bool:
        """Whether any process of the run used the lab."""
        return any(self.folder.glob(f"{USED}*"))

    def users(self) -> list[int]:
        """The processes of the run that used the lab and still live."""
        return [pid for path in self.folder.glob(f"{USED}*") if (pid := process.living(path.name))]

    def tell(self, line: Line) -> None:
        """Pass a line of progress on to the process that has the terminal."""
        if not self.folder.is_dir():
            return
        data = (json.dumps(asdict(line)) + "\n").encode()
        handle = os.open(self.folder / LINES, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            # One write: lines of several processes do not mix.
            os.write(handle, data)
        finally:
            os.close(handle)

    def lines(self) -> Iterator[Line | None]:
        """The lines told so far, then None, then those told since, and so on for ever.

        What several say, as when all wait for the same process, is there once.
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
                line = Line(**json.loads(text))
                if said_by.setdefault(line.text, line.who) == line.who:
                    yield line
            yield None


def abandoned(paths: Paths) -> Iterator[Path]:
    """The folders of runs whose processes are all gone."""
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
