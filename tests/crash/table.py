"""The table of the crash harness: a row for each point."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.crash.census import KINDS

SINGULAR = {"processes": "process"}
HEAD = ("point", "left after the kill", "recovered by", "left after recovery", "seconds")


@dataclass
class Table:
    """A row for each point."""

    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(
        self, point: str, killed: dict[str, int], by: str, after: dict[str, int], seconds: float
    ) -> None:
        self.rows.append((point, told(killed), by, told(after), f"{seconds:.0f}"))

    def lines(self) -> list[str]:
        widths = [max(len(row[i]) for row in (HEAD, *self.rows)) for i in range(len(HEAD))]
        rule = tuple("-" * width for width in widths)
        rows = (HEAD, rule, *self.rows)
        return [
            "| " + " | ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
            + " |"
            for row in rows
        ]  # fmt: skip


def told(counts: dict[str, int]) -> str:
    """Counts for people; 0 when nothing is left."""
    found = [
        f"{counts[kind]} {kind if counts[kind] > 1 else SINGULAR.get(kind, kind[:-1])}"
        for kind in KINDS
        if counts[kind]
    ]
    return ", ".join(found) or "0"
