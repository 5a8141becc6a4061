"""The labs of a state folder, as their records describe them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pytest_kollalab.engine import records
from pytest_kollalab.lab import kept
from pytest_kollalab.system.paths import Paths

DAMAGED = "damaged"


@dataclass(frozen=True)
class LabRow:
    """A lab.

    Attributes:
        name: Its name.
        stage: The last of its own stages that it has a record of.
        status: The status of that stage, such as `ready`.
        features: The features of its cloud, or that it is being built with.
        provider: The provider of its nodes.
        where: The host of its nodes; empty for this one.
        since: When that stage was made, as ISO 8601 in UTC.
        stays: Whether it stays after the sessions that use it.
    """

    name: str
    stage: str
    status: str
    features: tuple[str, ...]
    provider: str
    where: str
    since: str
    stays: bool


def rows(paths: Paths) -> Iterator[LabRow]:
    """The labs of a state folder, by name. Nothing but their records is looked at."""
    for name in kept.names(paths.state):
        folder = paths.lab(name)
        found = [records.load_if_whole(folder / f"{stage}.json") for stage in ("nodes", "cloud")]
        nodes, cloud = found
        last = cloud or nodes
        inputs = nodes.inputs if nodes is not None else {}
        yield LabRow(
            name,
            last.stage if last is not None else "nodes",
            last.status if last is not None else DAMAGED,
            tuple(cloud.inputs.get("features", ())) if cloud is not None else (),
            str(inputs.get("provider", "")),
            str(inputs.get("uri", "")),
            last.created if last is not None else "",
            kept.is_kept(folder),
        )


def line(row: LabRow) -> str:
    """A lab in one line for people."""
    told = [
        " ".join(row.features),
        f"on {row.where}" if row.where else "",
        f"since {row.since}" if row.since else "",
        "" if row.stays else "goes with its session",
    ]
    state = f"{row.stage} {row.status}"
    return f"{row.name:<20} {state:<16} {row.provider or '-':<8} {'  '.join(filter(None, told))}"
