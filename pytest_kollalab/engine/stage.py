"""The stage: what every stage of a lab can do, and what it is given to work with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from pytest_kollalab.engine.garbage import InUse, Searches
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.system import digest
from pytest_kollalab.system.errors import StageError

M = TypeVar("M", bound=Made)
N = TypeVar("N", bound=Made)

# What enters a key: a table of JSON.
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """What a stage is given to build or to destroy itself.

    `needs` is what the needed stages made. `undo` runs, last in first out, when the build
    fails: push each undo right after its step. `folder` is the stage's own place for state files
    (0700) and `log` the file that a user is pointed to. `say` shows a line of progress,
    `step` tells that the next of many steps begins.
    """

    key: str
    tag: Tag
    needs: tuple[Made, ...]
    folder: Path
    log: Path
    undo: ExitStack = field(default_factory=ExitStack)
    say: Callable[[str], None] = print
    step: Callable[[str], None] = lambda _: None
    resumes: bool = False

    def made(self, kind: type[N]) -> N:
        """What one of the needed stages made. Raises StageError when that is not there."""
        for each in self.needs:
            if isinstance(each, kind):
                return each
        raise StageError(
            f"the stage {self.tag.stage} was not given what {kind.stage} makes",
            hint=f"build {kind.stage} anew: --fresh {kind.stage}",
        )


class Stage(Generic[M]):
    """One stage of a lab; the kinds of stages override what they need.

    `makes` is the type of what it makes, which its record is read with.
    A `shared` stage lives in the cache and serves every lab; its key says all about it. Any other
    belongs to one lab. Building a stage that `consumes` another uses that one up: it must be
    fresh. A `resumable` stage can go on where a failed build stopped; any other is removed first.
    `version` is bumped when the code that builds changes its meaning.
    """

    makes: type[M]
    name: str = ""
    needs: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    shared: bool = False
    resumable: bool = False
    version: int = 1

    def inputs(self) -> Inputs:
        """What enters the key: JSON, pure; no times, paths, host names or passwords."""
        raise NotImplementedError

    def serves(self, recorded: Inputs, wanted: Inputs) -> bool:
        """Whether what was built from the recorded inputs can serve the wanted ones."""
        return digest.canonical(recorded) == digest.canonical(wanted)

    def offline(self) -> None:
        """Ask nobody outside for inputs from here on: what there is is looked at, or removed."""

    def room(self) -> Mapping[str, int]:
        """The bytes that building it takes, by place (docker, cache); what is there is left out."""
        return {}

    def uses(self, made: Sequence[M]) -> InUse:
        """What is in use of what labs share as long as these results of the stage are."""
        return InUse()

    def garbage(self, used: InUse, older_than: float) -> Searches:
        """The searches for what the stage leaves in caches, and nothing uses any more.

        Args:
            used: What is in use.
            older_than: How long, in seconds, what is found must have been untouched.
        """
        return {}

    def gone(self, made: M) -> str | None:
        """Why what was made is no longer there; None when it is. Cheap."""
        raise NotImplementedError

    def create(self, work: Work) -> M:
        """Build the stage and return what it made."""
        raise NotImplementedError

    def destroy(self, work: Work) -> None:
        """Remove everything that carries the lab's tag of this stage; idempotent."""
        raise NotImplementedError
