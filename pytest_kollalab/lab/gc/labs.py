"""Finds labs that nobody uses any more, and resources of labs that no longer exist."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine import records
from pytest_kollalab.engine.garbage import Item, is_held, size_of
from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.engine.records import LAB_LABEL
from pytest_kollalab.engine.runs import new_run_id
from pytest_kollalab.lab.gc.item import human_age
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers import retained
from pytest_kollalab.providers.choice import choose
from pytest_kollalab.providers.docker import saves
from pytest_kollalab.providers.retained import Retained
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.states import saves as saved_states
from pytest_kollalab.stages.states.consent import listed
from pytest_kollalab.system.attempts import Attempts
from pytest_kollalab.system.errors import KollalabError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths

if TYPE_CHECKING:
    from docker import DockerClient

STOPPED = (records.CREATING, records.DESTROYING)


def stale(paths: Paths, older_than: float, *, discard_saved: bool = False) -> Iterator[Item]:
    """The labs that a run left unfinished, and those not used for `older_than` seconds.

    Args:
        paths: Folders for state and cache.
        older_than: Seconds since a lab was last used.
        discard_saved: Remove labs with their saved states.
    """
    folder = paths.state / "labs"
    for lab in sorted(each for each in folder.glob("*") if each.is_dir()):
        if in_use(paths, lab.name):
            continue
        recorded = sorted(lab.glob("*.json"))
        newest = max((path.stat().st_mtime for path in [lab, *recorded]), default=0.0)
        age = time.time() - newest
        why = why_stale(_statuses(recorded), age, older_than)
        if why is not None:
            kept = saved_states.of_user(lab)
            why += f"; it has {listed(kept)}" if kept else ""
            destroy = _Destroy(paths, lab.name, discard_saved=discard_saved)
            yield Item("lab", lab.name, why, age, size_of(lab), destroy)


def why_stale(statuses: Mapping[str, str], age: float, older_than: float) -> str | None:
    """Why an unused lab can be removed, or None if it should stay."""
    if not statuses:
        return "a folder without records"
    for stage, status in statuses.items():
        if status in STOPPED:
            return f"its run was stopped while {status} {stage}"
    if age >= older_than:
        return f"not used for {human_age(age)}"
    return None


def in_use(paths: Paths, lab: str) -> bool:
    """Whether a process holds the lab's lock or a lease on it."""
    folder = paths.state / "labs"
    return is_held(folder / f"{lab}.lock") or Lease(folder / f"{lab}.lease").is_shared()


def leftovers(client: DockerClient, paths: Paths, ownership: Ownership) -> Iterator[Item]:
    """The containers, networks, volumes and images of labs that no longer exist, by lab."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    for kind, thing, name, made in _tagged(client):
        labels = thing.get("Labels") or {}
        if is_left(labels, paths, ownership):
            found.setdefault(labels[LAB_LABEL], []).append((kind, name, made))
    for lab, things in sorted(found.items()):
        counts = [
            f"{number} {kind}{'s' if number > 1 else ''}"
            for kind in ("container", "network", "volume", "image")
            if (number := sum(each[0] == kind for each in things))
        ]
        age = time.time() - max(made for *_, made in things)
        why = f"{', '.join(counts)}; lab {lab} does not exist"
        yield Item("leftover", lab, why, age, None, _Remove(client, things))


def is_left(labels: Mapping[str, str], paths: Paths, ownership: Ownership) -> bool:
    """Whether the lab that a resource belongs to no longer exists.

    Args:
        labels: The labels of the resource.
        paths: Folders for state and cache.
        ownership: Tells what belongs to the labs of this state folder.
    """
    if ownership.is_mine(labels):
        return not is_here(labels[LAB_LABEL], paths) and not is_kept(labels, paths)
    return ownership.is_nobodys(labels)


def is_here(lab: str, paths: Paths) -> bool:
    """Whether this state folder has a lab of that name, or a process is making it."""
    return records.has_records(paths.state, lab) or in_use(paths, lab)


def is_kept(labels: Mapping[str, str], paths: Paths) -> bool:
    """Whether a resource belongs to the retained golden state of a removed lab."""
    there = retained.read(paths.state, labels[LAB_LABEL])
    return there is not None and labels.get(saves.SAVE) == there.label


def goldens(paths: Paths, older_than: float) -> Iterator[Item]:
    """The retained golden states that were not used for `older_than` seconds."""
    for folder in sorted(paths.state.glob(f"golden/*/{retained.FILE}")):
        lab = folder.parent.name
        there = retained.read(paths.state, lab)
        if there is None or in_use(paths, lab):
            continue
        age = time.time() - max(_when(there.made), folder.stat().st_mtime)
        if age >= older_than:
            why = f"the golden state of lab {lab}, which its next run would start from"
            yield Item("golden", lab, why, age, there.size or None, _Forget(paths, lab, there))


class _Forget:
    """Removes the retained golden state of a lab."""

    def __init__(self, paths: Paths, lab: str, there: Retained) -> None:
        self.paths = paths
        self.lab = lab
        self.there = there

    def __call__(self) -> None:
        retained.forget(self.paths.state, self.lab)
        provider = choose(Options(name=self.lab, provider=self.there.provider), self.paths)
        if provider.saving is not None:
            provider.saving.clear(self.lab, self.there.label)


class _Destroy:
    """Destroys a lab with the provider that made it."""

    def __init__(self, paths: Paths, name: str, *, discard_saved: bool = False) -> None:
        self.paths = paths
        self.name = name
        self.discard_saved = discard_saved

    def __call__(self) -> None:
        nodes = records.load_if_whole(self.paths.lab(self.name) / "nodes.json")
        # The inputs are recorded before anything is made.
        inputs = nodes.inputs if nodes is not None else {}
        provider, uri = str(inputs.get("provider", "auto")), str(inputs.get("uri", ""))
        options = Options(
            name=self.name, provider=provider, provider_uri=uri, discard_saved=self.discard_saved
        )
        lab = Lab(Config(), options, paths=self.paths, run_id=new_run_id(), say=lambda _: None)
        lab.destroy()


class _Remove:
    """Removes docker resources, containers first because they use the others."""

    def __init__(self, client: DockerClient, things: list[tuple[str, str, float]]) -> None:
        self.client = client
        self.things = things

    def __call__(self) -> None:
        api, removal = self.client.api, Attempts()
        how = {
            "container": lambda name: api.remove_container(name, force=True, v=True),
            "network": api.remove_network,
            "volume": lambda name: api.remove_volume(name, force=True),
            "image": lambda name: api.remove_image(name, force=True),
        }
        # Docker fails to remove two images of one parent at the same time.
        for kinds, at_once in (
            (("container",), None),
            (("network", "volume"), None),
            (("image",), 1),
        ):
            names = [(how[kind], name) for kind, name, _ in self.things if kind in kinds]
            removal.each(_gone, names, at_once=at_once)
        removal.check(
            "docker could not remove all of them",
            "stop or disconnect the container that uses it, then run again",
        )


def _gone(what: tuple[Callable[[str], None], str]) -> None:
    """Remove a thing of docker, unless it is not there any more."""
    from docker.errors import APIError

    remove, name = what
    try:
        remove(name)
    except APIError as error:
        if error.status_code != HTTPStatus.NOT_FOUND:
            raise KollalabError(
                "docker could not remove a leftover",
                details=str(error.explanation),
                hint="stop or disconnect the container that uses it, then run again",
            ) from error


def _statuses(records: list[Path]) -> dict[str, str]:
    found = {}
    for path in records:
        try:
            found[path.stem] = str(json.loads(path.read_text(encoding="utf-8"))["status"])
        except (OSError, ValueError, KeyError, TypeError):
            found[path.stem] = "damaged"
    return found


def _tagged(client: DockerClient) -> Iterator[tuple[str, dict[str, Any], str, float]]:
    api = client.api
    only = {"label": [LAB_LABEL]}
    for each in api.containers(all=True, filters=only):
        yield "container", each, each["Id"], float(each["Created"])
    for each in api.networks(filters=only):
        yield "network", each, each["Id"], _when(each["Created"])
    for each in api.volumes(filters=only)["Volumes"] or []:
        yield "volume", each, each["Name"], _when(each["CreatedAt"])
    for each in api.images(filters=only):
        yield "image", each, each["Id"], float(each["Created"])


def _when(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()
