"""The containers, networks, volumes and images that docker has of a lab of ours."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.owners import Owner, Ownership

if TYPE_CHECKING:
    from docker import DockerClient

STAGE = "nodes"

Thing = dict[str, Any]


class Owned:
    """Things with the tag of a lab of the state folder `home`, as docker's API lists them.

    What is left of a lab that no longer exists belongs to whoever has its name.
    """

    def __init__(self, client: DockerClient, home: Path) -> None:
        self.client = client
        self.ownership = Ownership(home)

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

    def owners(self, lab: str) -> list[Owner]:
        """Who has a lab of that name at this daemon."""
        api, only = self.client.api, tagged(lab)
        there = [*api.containers(filters=only, all=True), *api.networks(filters=only)]
        there += [*(api.volumes(filters=only)["Volumes"] or []), *api.images(filters=only)]
        return self.ownership.owners(thing.get("Labels") or {} for thing in there)

    def _ours(self, things: list[Thing]) -> list[Thing]:
        return [t for t in things if not self.ownership.is_others(t.get("Labels") or {})]


def tagged(lab: str, *more: str) -> dict[str, list[str]]:
    """The filter by which docker finds what belongs to a lab."""
    return {"label": [f"kollalab.lab={lab}", f"kollalab.stage={STAGE}", *more]}
