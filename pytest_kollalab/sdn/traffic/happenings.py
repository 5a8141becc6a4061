"""Happenings: what was done and logged while traffic was watched, and which of it names a gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

# Notes of the test, tasks of Ansible, docker's events, changes of flow tables, lines of logs.
NOTE, TASK, DOCKER, FLOWS, LOG, ENDED = "note", "task", "docker", "flows", "log", "ended"
KINDS = (NOTE, TASK, DOCKER, FLOWS, LOG, ENDED)
# Seconds before a gap in which its cause is looked for.
LEAD = 1.0
# How many of each kind name a gap.
NAMED = 2
LONGEST_TEXT = 160


@dataclass(frozen=True)
class Happening:
    """What happened at some time.

    Attributes:
        kind: `note`, `task`, `docker`, `flows`, `log`, or `ended` if a source of these ended.
        node: The node that it happened on; empty if there is none.
        time: When it began, in seconds since 1970 of this host's clock.
        seconds: How long it took.
        text: What happened.
    """

    kind: str
    node: str
    time: float
    text: str
    seconds: float = 0.0

    def __str__(self) -> str:
        where = f" on {self.node}" if self.node else ""
        kind = "" if self.kind in (NOTE, ENDED) else f"{self.kind}: "
        return f"{kind}{self.text}{where}"

    @property
    def until(self) -> float:
        """When it ended, in seconds since 1970."""
        return self.time + self.seconds


def naming(happenings: Iterable[Happening], began: float, ended: float) -> tuple[Happening, ...]:
    """Which of what happened names a gap: what is nearest to its beginning, of each kind.

    Args:
        happenings: What happened.
        began: When the gap began, in seconds since 1970.
        ended: When it ended.

    Returns:
        At most two of each kind, in order of time.
    """
    found: list[Happening] = []
    # A task that ended before cannot be the cause; what happens at a moment may come before.
    near = [
        each
        for each in happenings
        if each.time <= ended and each.until >= (began if each.kind == TASK else began - LEAD)
    ]
    for kind in KINDS:
        mine = [each for each in near if each.kind == kind]
        found += sorted(mine, key=lambda each: _distance(each, began))[:NAMED]
    return tuple(sorted(found, key=lambda each: each.time))


def told(node: str, rows: Iterable[dict[str, Any]], epoch: float) -> list[Happening]:
    """What the program on a node tells of docker and flow tables.

    Args:
        node: The node.
        rows: What it tells, with times in nanoseconds of its monotonic clock.
        epoch: When that clock was 0, in seconds since 1970 of this host's clock.
    """
    return [
        Happening(
            row["kind"],
            node,
            epoch + row["time"] / 1e9,
            _text(row),
            (row["until"] - row["time"]) / 1e9,
        )
        for row in rows
    ]


def shortened(text: str) -> str:
    """A text that is not too long for a line."""
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


def as_json(happenings: Sequence[Happening]) -> list[dict[str, Any]]:
    """What happened, as JSON; times in seconds since 1970."""
    return [
        {
            "kind": each.kind,
            "node": each.node,
            "time": round(each.time, 4),
            "seconds": round(each.seconds, 4),
            "text": each.text,
        }
        for each in happenings
    ]


def _distance(each: Happening, began: float) -> tuple[float, float]:
    if each.time <= began <= each.until:
        # Of several that went on, the one that began last.
        return (0.0, -each.time)
    return (min(abs(each.time - began), abs(each.until - began)), each.time)


def _text(row: dict[str, Any]) -> str:
    if row["kind"] == DOCKER:
        code = f" with exit code {row['code']}" if "code" in row else ""
        return f"{row['container']} {row['action']}{code}"
    if row["kind"] == FLOWS:
        words = [f"{row[word]} {word}" for word in ("deleted", "added", "modified") if word in row]
        return f"{row['bridge']}: {', '.join(words)}"
    return str(row["text"])
