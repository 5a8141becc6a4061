"""Errors that say what happened, why, and what the user can do."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
# Packages whose errors come from docker. The docker SDK uses requests; other code here turns the
# errors of requests into its own.
DOCKER = {"docker", "requests"}
FULL = {errno.ENOSPC, errno.EDQUOT}


class KollalabError(Exception):
    """Base class of all errors that this package raises for users.

    `str()` gives the whole message on several lines.

    Args:
        brief: What happened, in one line.
        details: Why it happened, on any number of lines.
        hint: What the user can do.
        log: The log file with more information.
    """

    def __init__(
        self, brief: str, *, details: str = "", hint: str = "", log: Path | None = None
    ) -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details.rstrip()
        self.hint = hint
        self.log = log

    def __str__(self) -> str:
        lines = [self.brief]
        if self.details:
            lines += [f"  {line}" for line in self.details.splitlines()]
        if self.log is not None:
            lines.append(f"  log: {self.log}")
        if self.hint:
            lines.append(f"  what now: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions are pickled without their keyword-only arguments; pytest-xdist needs them.
        return (_rebuild, (type(self), self.brief, self.details, self.hint, self.log))


def _rebuild(
    kind: type[KollalabError], brief: str, details: str, hint: str, log: Path | None
) -> KollalabError:
    return kind(brief, details=details, hint=hint, log=log)


class ConfigError(KollalabError):
    """The configuration or an option is not valid."""


class NoNodeError(ConfigError, KeyError):
    """The lab has no node of this name.

    Args:
        name: The name.
        there: The nodes that there are.
    """

    def __init__(self, name: str, there: Iterable[str], **_: object) -> None:
        known = ", ".join(there) or "none"
        super().__init__(f"no node {name}; there are {known}")
        self.name = name
        self.there = tuple(there)

    def __reduce__(self) -> tuple[object, ...]:
        return (NoNodeError, (self.name, self.there))


class HostError(KollalabError):
    """The host lacks something that the lab needs."""


class CommandError(KollalabError):
    """A command failed."""


class StageError(KollalabError):
    """A stage could not be built."""


class StateError(KollalabError):
    """A record on disk cannot be used."""


class NewerStateError(StateError):
    """A record was written by a newer version of this package."""


class BusyError(KollalabError):
    """Another process uses the lab or holds a lock."""


class SavedStatesError(KollalabError):
    """Something would remove saved states, and the user has not agreed to that."""


class WaitError(KollalabError):
    """An awaited condition did not become true in time, or can no longer become true."""


class NeedsLabError(KollalabError):
    """An operation needs a lab, but this run uses an existing cloud."""


class NeedsAdminError(KollalabError):
    """An operation needs rights that the login of an existing cloud does not have."""


def is_unwritable(error: OSError) -> bool:
    """Whether something cannot be written: the disk is full or read-only, or there is no right."""
    return error.errno in CLOSED | FULL


@contextmanager
def if_writable() -> Iterator[None]:
    """A block that writes what is of use and not needed: what cannot be written is left out."""
    try:
        yield
    except OSError as error:
        if not is_unwritable(error):
            raise


def as_message(error: Exception) -> Exception:
    """Turn an error of docker or of a failed write into a HostError.

    Any other error is returned unchanged.
    """
    if type(error).__module__.partition(".")[0] in DOCKER:
        return HostError(
            "a request to docker failed",
            details=f"{type(error).__name__}: {error}",
            hint="see the log of the docker daemon; `kollalab doctor` checks whether it answers",
        )
    if not isinstance(error, OSError) or not is_unwritable(error):
        return error
    hint = "let this user write to it, or set KOLLALAB_CACHE and KOLLALAB_STATE to other folders"
    if error.errno in FULL:
        hint = "make room: `kollalab gc --yes`, `docker image prune`; then run again"
    where = error.filename or "a file"
    return HostError(f"{where} cannot be written", details=str(error.strerror), hint=hint)
