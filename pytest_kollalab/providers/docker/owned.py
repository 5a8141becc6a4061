"""The containers, networks, volumes and images that docker has of a lab of ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine import records

if TYPE_CHECKING:
    from docker import DockerClient

STAGE = "nodes"

Thing = dict[str, Any]


class Owned:
    """Things with the tag of a lab whose records are below `home`, as docker's API lists them."""

    def __init__(self, client: DockerClient, home: Path) -> None:
        self.client = client
        self.home = home

    def containers(self, lab: str, *more: str, running: bool = False) -> list[Thing]:
        """The containers, stopped ones as well; `more` are labels that they have besides."""
        found = self.client.api.containers(filters=tagged(lab, *more), all=not running)
        return self._ours(found)

    def networks(self, lab: str) -> list[Thing]:
        return self._ours(self.client.api.networks(filters=tagged(lab)))

    def volumes(self, lab: str, *more: str) -> list[Thing]:
        return self._ours(self.client.api.volumes(filters=tagged(lab, *more))["Volumes"] or [])

    def images(self, lab: str, *more: str) -> list[Thing]:
        """The images of saved nodes; the node image itself belongs to no lab."""
        return self._ours(self.client.api.images(filters=tagged(lab, *more)))

    def _ours(self, things: list[Thing]) -> list[Thing]:
        return [thing for thing in things if other_home(thing, self.home) is None]


def other_home(thing: Mapping[str, Any], home: Path) -> Path | None:
    """The folder of state of the lab that docker's answer belongs to, if that is another's.

    A lab without records is nobody's: whoever has its name may remove what is left of it.
    """
    labels = thing.get("Labels") or {}
    other, lab = labels.get("kollalab.home"), labels.get("kollalab.lab", "")
    if other is None or Path(other) == home or not records.has_records(Path(other), lab):
        return None
    return Path(other)


def tagged(lab: str, *more: str) -> dict[str, list[str]]:
    """The filter by which docker finds what belongs to a lab."""
    return {"label": [f"kollalab.lab={lab}", f"kollalab.stage={STAGE}", *more]}
