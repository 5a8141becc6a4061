"""The base class of all stages of a lab, and what a stage is given to build itself."""

from __future__ import annotations

import time
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

# The inputs of a stage, as JSON. The stage's key is a digest of them.
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Work:
    """What a stage is given to build or to destroy itself.

    Attributes:
        key: The stage's key.
        tag: Marks the resources of the stage.
        needs: What the needed stages made.
        folder: The stage's folder for state files, with mode 0700.
        log: The log file that error messages refer to.
        undo: Runs in reverse order when the build fails. Push each undo right after its step.
        say: Shows a line of progress.
        step: Reports that the next of many small steps begins.
        resumes: Whether the build continues an earlier one that failed.
        began: When it begins, in seconds since 1970: lines of progress tell the time since then.
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
    began: float = field(default_factory=time.time)

    def made(self, kind: type[N]) -> N:
        """What one of the needed stages made.

        Raises:
            StageError: No needed stage made an object of this kind.
        """
        for each in self.needs:
            if isinstance(each, kind):
                return each
        raise StageError(
            f"the stage {self.tag.stage} was not given what {kind.stage} makes",
            hint=f"build {kind.stage} anew: --fresh {kind.stage}",
        )


class Stage(Generic[M]):
    """Base class of the stages of a lab.

    Attributes:
        makes: The type of what the stage makes. Its record is read with this type.
        name: The name of the stage.
        needs: Names of the stages that must be ready first.
        consumes: Names of the needed stages that must be fresh, because building this stage
            changes them for good.
        shared: Whether the stage is in the cache and serves every lab. Other stages belong to one
            lab.
        resumable: Whether a build can continue where a failed one stopped. Other stages are
            removed before they are built again.
        version: Part of the key. Increase it when the code builds something else from the same
            inputs.
    """

    makes: type[M]
    name: str = ""
    needs: tuple[str, ...] = ()
    consumes: tuple[str, ...] = ()
    shared: bool = False
    resumable: bool = False
    version: int = 1

    def inputs(self) -> Inputs:
        """The inputs that enter the key, as JSON.

        They must depend on nothing but configuration and code: no times, paths, host names or
        passwords.
        """
        raise NotImplementedError

    def serves(self, recorded: Inputs, wanted: Inputs) -> bool:
        """Whether a stage built from the recorded inputs also satisfies the wanted ones."""
        return digest.canonical(recorded) == digest.canonical(wanted)

    def offline(self) -> None:
        """Make no more network requests for inputs. Called before a lab is shown or removed."""

    def check_sources(self) -> None:
        """Ask whether what a build takes from elsewhere can be had. Called before a build.

        Raises:
            StageError: It cannot be had, such as a Debian suite that the mirror does not have.
            HostError: The host cannot tell what it has already.
        """

    def room(self) -> Mapping[str, int]:
        """The disk space in bytes that a build still needs, by place (docker or cache)."""
        return {}

    def uses(self, made: Sequence[M]) -> InUse:
        """The shared resources that these results of the stage keep in use."""
        return InUse()

    def garbage(self, used: InUse, older_than: float) -> Searches:
        """Searches for files and images of this stage that nothing uses any more.

        Args:
            used: The resources that are in use.
            older_than: Seconds since an item was last used. Newer items are not found.

        Returns:
            A search for each kind of garbage.
        """
        return {}

    def gone(self, made: M) -> str | None:
        """Why the result of the stage is no longer usable, or None if it is.

        Called for every plan, so it must be fast.
        """
        raise NotImplementedError

    def adopts(self, needed: Sequence[Made]) -> bool:
        """Whether a build on this takes over what was built elsewhere, such as a cloned cloud."""
        return False

    def reworked(self, recorded: Inputs) -> str:
        """What was done to a stage after its build, for people; empty if nothing.

        If that failed, a build does not continue where it stopped.

        Args:
            recorded: The inputs in the stage's record.
        """
        return ""

    def manner(self) -> str:
        """In which of several manners the stage is built, for estimates of how long it takes."""
        return ""

    def halted(self, made: M) -> Sequence[str]:
        """What of the result does not run and can be started. Called for every plan."""
        return ()

    def create(self, work: Work) -> M:
        """Build the stage and return its result."""
        raise NotImplementedError

    def destroy(self, work: Work) -> None:
        """Remove everything with the lab's tag of this stage. May be called more than once."""
        raise NotImplementedError
