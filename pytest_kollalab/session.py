"""The session: what the processes of one run tell each other, in a folder of the run's own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pytest_kollalab import owner
from pytest_kollalab.errors import KollalabError
from pytest_kollalab.paths import Paths

FAILURE = "failure.json"
LINES = "lines"
USED = "used"
OWNER = "owner-"


@dataclass(frozen=True)
class Failure:
    """The first failure of a session: one line, the whole message, where its log is."""

    brief: str
    text: str
    log: str = ""

    @property
    def line(self) -> str:
        """What every test but the first has to say."""
        return f"the lab is broken: {self.brief}"


@dataclass(frozen=True)
class Line:
    """A line of progress. One that is said `once` is shown once, whoever says it."""

    who: str
    text: str
    once: bool = False


class Session:
    """One run, by its name. Its folder exists as long as several processes share the run.

    Without the folder all is kept in memory: a single process needs no files.
    """

    def __init__(self, paths: Paths, name: str) -> None:
        self.name = name
        self.folder = paths.state / "runs" / name
        self._failure: Failure | None = None

    def open(self) -> None:
        """Make the folder; its owner is this process."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        (self.folder / f"{OWNER}{owner.mark()}").touch()

    def close(self) -> None:
        """Remove the folder; a failure is remembered."""
        self._failure = self.failure()
        shutil.rmtree(self.folder, ignore_errors=True)

    def fail(self, error: Exception) -> None:
        """Record the first failure; those that follow from it are not recorded."""
        if self.failure() is not None:
            return
        self._failure = _failure(error)
        if not self.folder.is_dir():
            return
        temporary = self.folder / f"{FAILURE}.{owner.mark()}"
        temporary.write_text(json.dumps(asdict(self._failure)), encoding="utf-8")
        # A link is refused when the name is taken: the first one stays.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, self.folder / FAILURE)
        temporary.unlink()

    def failure(self) -> Failure | None:
        """The first failure of any of the run's processes, or None."""
        try:
            return Failure(**json.loads((self.folder / FAILURE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return self._failure

    def use(self) -> None:
        """Remember that the lab is used, for whoever has to remove it: this process may die."""
        if self.folder.is_dir():
            (self.folder / USED).touch()

    def is_used(self) -> bool:
        """Whether any process of the run used the lab."""
        return (self.folder / USED).exists()

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
        """The lines told so far, then None for each time that there is nothing new."""
        seen: set[str] = set()
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
                if not (line.once and line.text in seen):
                    yield line
                if line.once:
                    seen.add(line.text)
            yield None


def abandoned(paths: Paths) -> Iterator[Path]:
    """The folders of runs whose process is gone."""
    for path in (paths.state / "runs").glob(f"*/{OWNER}*"):
        if owner.left_by_the_dead(path.name):
            yield path.parent


def _failure(error: Exception) -> Failure:
    if isinstance(error, KollalabError):
        return Failure(error.brief, str(error), str(error.log or ""))
    brief = f"{type(error).__name__}: {error}".splitlines()[0]
    return Failure(brief, brief)
