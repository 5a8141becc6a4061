"""Errors that a user can act on: what happened, why, and what to do now."""

from __future__ import annotations

import errno
from pathlib import Path

CLOSED = {errno.EACCES, errno.EPERM, errno.EROFS}
# Whose errors are docker's: its SDK speaks through requests, and nothing else of ours does so
# without errors of its own.
DOCKER = {"docker", "requests"}
FULL = {errno.ENOSPC, errno.EDQUOT}


class KollalabError(Exception):
    """An error with a brief (what), details (why), a hint (what now) and maybe a log file.

    `str()` gives the whole message over several lines; `brief` alone fits one line.
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
        # Keyword-only arguments are lost by the default pickling that pytest-xdist relies on.
        return (_rebuild, (type(self), self.brief, self.details, self.hint, self.log))


def _rebuild(
    kind: type[KollalabError], brief: str, details: str, hint: str, log: Path | None
) -> KollalabError:
    return kind(brief, details=details, hint=hint, log=log)


class ConfigError(KollalabError):
    """The configuration or an option does not make sense."""


class HostError(KollalabError):
    """The host lacks something that the lab needs."""


class CommandError(KollalabError):
    """A command failed."""


class StageError(KollalabError):
    """A stage could not be built."""


class StateError(KollalabError):
    """A record on disk cannot be used."""


class NewerStateError(StateError):
    """A record is of a newer version, which knows what this one does not."""


class BusyError(KollalabError):
    """Somebody else holds the lab."""


class WaitError(KollalabError):
    """What was waited for did not come, or cannot come any more."""


class NeedsLabError(KollalabError):
    """It takes a lab of our own, and this run uses an existing cloud."""


def as_message(error: Exception) -> Exception:
    """The same as a message, if the host refuses to write or docker to answer; else as it is."""
    if type(error).__module__.partition(".")[0] in DOCKER:
        return HostError(
            "docker did not do what it was asked",
            details=f"{type(error).__name__}: {error}",
            hint="see the daemon's own log; `kollalab doctor` tells whether it answers",
        )
    if not isinstance(error, OSError) or error.errno not in CLOSED | FULL:
        return error
    hint = "give this user the folder, or name others in KOLLALAB_CACHE and KOLLALAB_STATE"
    if error.errno in FULL:
        hint = "make room: `kollalab gc --yes`, `docker image prune`; then run again"
    where = error.filename or "a file"
    return HostError(f"{where} cannot be written", details=str(error.strerror), hint=hint)
