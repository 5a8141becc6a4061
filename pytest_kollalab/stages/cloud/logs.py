"""Searches the logs of the cloud's services for errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

FOLDER = "/var/log/kolla"
# CRITICAL with spaces matches the level of a line, but not the value of a logged option.
TELLTALE = r" CRITICAL |Traceback \(most recent call last\)|[Oo]ut of memory|oom-kill|SIGKILL"
PREFIX = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)? \d+ [A-Z]+ \S+ (?:\[[^]]*\] ?)?")
# Lines of a traceback below its first line: file, source, marker, or blank.
BODY = re.compile(r"^\s+|^$|^Traceback ")
CHAINED = re.compile(r"^During handling of the above|^The above exception was")
CONTEXT = 2


@dataclass(frozen=True)
class Trouble:
    """Lines of a log that report an error. Of a traceback, the context and the exception."""

    node: str
    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.node}:{self.file}:{self.line}:\n" + "".join(
            f"    {line}\n" for line in self.text.splitlines()
        )


@dataclass(frozen=True)
class Allowance:
    """Expected trouble.

    Attributes:
        file: A regular expression that matches the file.
        text: A regular expression that matches the lines.
        reason: Why the trouble is expected.
    """

    file: str
    text: str
    reason: str

    def covers(self, trouble: Trouble) -> bool:
        """Whether this trouble is expected."""
        return bool(re.search(self.file, trouble.file) and re.search(self.text, trouble.text))


def troubles(
    ssh: Ssh,
    node: str,
    allowed: Sequence[Allowance] = (),
    cut: Callable[[str], str] = str,
) -> list[Trouble]:
    """Find the trouble in all logs of a node.

    Args:
        ssh: SSH access to the node.
        node: The name of the node.
        allowed: Trouble to leave out.
        cut: Returns the part of a log's text to search.
    """
    argv = ["grep", "-rlE", "--include=*.log", TELLTALE, f"{FOLDER}/"]
    found: list[Trouble] = []
    for file in ssh.run(node, argv, check=False).stdout.splitlines():
        found += find_troubles(
            node, file.removeprefix(f"{FOLDER}/"), cut(ssh.run(node, ["cat", file]).stdout)
        )
    return [t for t in found if not any(a.covers(t) for a in allowed)]


def find_troubles(node: str, file: str, text: str) -> list[Trouble]:
    """Find the trouble in the text of one log."""
    telltale = re.compile(TELLTALE)
    lines = text.splitlines()
    found = []
    at = 0
    while at < len(lines):
        if not telltale.search(lines[at]):
            at += 1
            continue
        end = _end_of_traceback(lines, at) if "Traceback" in lines[at] else at
        start = max(at - CONTEXT, 0) if end > at else at
        shown = [*lines[start : at + 1], *lines[max(end, at + 1) : end + 1]]
        found.append(Trouble(node, file, at + 1, "\n".join(shown)))
        at = end + 1
    return found


def summary(found: Iterable[Trouble], most: int = 10) -> str:
    """Show the first `most` in full, and how many more there are."""
    every = list(found)
    more = f"and {len(every) - most} more\n" if len(every) > most else ""
    return "".join(map(str, every[:most])) + more


def _end_of_traceback(lines: Sequence[str], head: int) -> int:
    """The index of the line that names the exception. Of a chain, that of the last exception."""
    end = None
    for at in range(head + 1, len(lines)):
        said = PREFIX.sub("", lines[at])
        if CHAINED.match(said):
            end = None
        elif end is not None and said.strip():
            break
        elif end is None and not BODY.match(said):
            end = at
    return end if end is not None else len(lines) - 1
