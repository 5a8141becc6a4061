"""The saved states of nodes that are containers: their file systems, at one moment.

Nothing saves the memory of what runs in a container. So nodes stand still while their files are
copied, and go on; brought back, they start from these files as after a power cut, which all that
keeps data in a cloud is made for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pytest_kollalab.providers.base import Saving
from pytest_kollalab.providers.docker import layers
from pytest_kollalab.providers.docker.container import make_container
from pytest_kollalab.providers.docker.copy import Volumes
from pytest_kollalab.providers.docker.kolla_variables import INTERFACES
from pytest_kollalab.providers.docker.owned import Owned, Thing
from pytest_kollalab.providers.docker.refusals import refusals
from pytest_kollalab.providers.docker.spec import NEEDS, NODE, archive, own_volume, resource_name
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError, WaitError
from pytest_kollalab.system.threads import Threads
from pytest_kollalab.system.wait import NotYet, until

if TYPE_CHECKING:
    from docker import DockerClient

REPOSITORY = "kollalab/saved"
# Labels: of which saved state a thing is, all nodes of a saved state, and what a node's container
# is made from.
SAVE, NODES, MADE_FROM = (f"kollalab.{name}" for name in ("save", "nodes", "config"))
TRASH = ".trash"
START_FILES = {
    "/usr/local/lib/kollalab/turn": 0o755,
    "/usr/local/lib/kollalab/moved": 0o755,
    "/etc/systemd/system/kollalab-moved.service": 0o644,
    # Of all units whose names begin so.
    "/etc/systemd/system/kolla-.service.d/turn.conf": 0o644,
}
UNPLUG = "\n".join(f"ip link delete {name}" for name in INTERFACES.values())
# Kolla's MariaDB writes what was committed to its files once a second: what was there when
# somebody asked for a save is then in it.
WRITTEN = 1.2
# runc gives up after about a second: "unable to freeze".
FREEZE_TIMEOUT = 20.0
ONCE_MORE = "run the same again: the state is still saved"


class DockerSaves(Saving):
    """The saved states of the labs of a daemon; `owned` connects to it.

    A state is a volume with what the nodes' own docker keeps, and an image of each node's root.
    The images get their names when all the rest is there.
    """

    def __init__(self, owned: Callable[[], Owned]) -> None:
        self._owned = owned

    @property
    def owned(self) -> Owned:
        """What the daemon has of our labs."""
        return self._owned()

    @property
    def client(self) -> DockerClient:
        """The daemon."""
        return self.owned.client

    def save(self, lab: str, name: str) -> int:
        """Save all nodes under a name that is not used yet, and return the bytes that it takes.

        Raises StageError; then none is saved.
        """
        with refusals(f"lab {lab} could not be saved"):
            return self._save(lab, name)

    def _save(self, lab: str, name: str) -> int:
        nodes = self._running(lab)
        first = next(iter(nodes.values()))
        labels = _tag(first["Labels"]) | {
            SAVE: name,
            NODES: ",".join(nodes),
            NEEDS: layers.of_node(first),
        }
        volume = saved_volume(lab, name)
        api: Any = self.client.api
        self._remove(lab, name)
        try:
            api.create_volume(volume, labels=labels)
            point("saves:volume-made")
            time.sleep(WRITTEN)
            self._each(nodes.values(), self._freeze)
            point("saves:paused")
            volumes = Volumes(self.client, [volume, *(own_volume(lab, node) for node in nodes)])
            pairs = [
                (volumes.path(own_volume(lab, node)), volumes.path(volume, node)) for node in nodes
            ]
            with Threads() as pool:
                copying = pool.submit(
                    volumes.copy,
                    resource_name(lab, "copy"),
                    first["ImageID"],
                    pairs,
                    volumes.path(volume, TRASH),
                    _tag(first["Labels"]),
                )
                jobs = {
                    node: pool.submit(self._commit, found, labels) for node, found in nodes.items()
                }
            size = copying.result()
            images = {node: job.result() for node, job in jobs.items()}
            size += sum(int(api.history(image)[0]["Size"]) for image in images.values())
            point("saves:copied")
            for node, image in images.items():
                api.tag(image, REPOSITORY, image_tag(lab, node, name))
                point("saves:saved-one")
            point("saves:saved")
        except BaseException:
            # What went wrong first is what is told. The journal of saves has what is left of it.
            with suppress(Exception):
                self.clear(lab, name)
            raise
        self._go_on(lab)
        return size

    def restore(self, lab: str, name: str) -> None:
        """Make all nodes anew from what was saved, and start them.

        Raises StageError, and changes nothing, when a part of it is not there.
        """
        with refusals(f"lab {lab} could not be brought back", ONCE_MORE):
            self._restore(lab, name)

    def _restore(self, lab: str, name: str) -> None:
        images = self.images(lab, name)
        volume, labels = saved_volume(lab, name), self.labels(lab, name)
        for node in images:
            self.client.api.create_volume(own_volume(lab, node), labels=labels)
        # A run that was killed may have left something to throw away in any of them.
        all_saved = [each["Name"] for each in self.owned.volumes(lab, SAVE)]
        volumes = Volumes(self.client, [*all_saved, *(own_volume(lab, node) for node in images)])
        trash = volumes.path(volume, TRASH)
        image = next(iter(images.values()))["Id"]
        self._each(self.owned.containers(lab, NODE), self._remove_container)
        self._sweep(lab)
        point("saves:nodes-removed")
        pairs = [
            (volumes.path(volume, node), volumes.path(own_volume(lab, node))) for node in images
        ]
        helper = resource_name(lab, "copy")
        with Threads() as pool:
            made = [
                pool.submit(
                    self.make,
                    lab,
                    node,
                    images[node],
                    json.loads(images[node]["Labels"][MADE_FROM]),
                )
                for node in images
            ]
            copying = pool.submit(volumes.copy, helper, image, pairs, trash, labels)
        copying.result()
        containers = [job.result() for job in made]
        point("saves:restored-files")
        self.start(containers)
        old = [volumes.path(each, TRASH) for each in all_saved]
        volumes.throw_away(resource_name(lab, "sweep"), image, old, labels)
        point("saves:restored")

    def saved(self, lab: str) -> list[str]:
        """The names under which all nodes are saved."""
        return sorted(self._whole(lab))

    def clear(self, lab: str, name: str) -> None:
        """Remove what was saved under a name, whole or not, and resume the nodes."""
        with refusals(f"the saved state {name} of lab {lab} could not be removed"):
            self._go_on(lab)
            self._remove(lab, name)

    def remove_images(self, lab: str, keep: str) -> None:
        """Remove the images of all saved states of a lab but one; the volumes are found by tag."""
        found = self.owned.images(lab, SAVE)
        self._remove_images(i for i in found if i["Labels"][SAVE] != keep)

    def _remove(self, lab: str, name: str) -> None:
        # A container that still copies into it is of a killed run.
        for each in self.owned.containers(lab):
            if each["Names"][0].lstrip("/") == resource_name(lab, "copy"):
                self._remove_container(each)
        self._remove_images(self.owned.images(lab, f"{SAVE}={name}"))
        point("saves:cleared-one")
        for volume in self.owned.volumes(lab, f"{SAVE}={name}"):
            self.client.api.remove_volume(volume["Name"], force=True)

    def _commit(self, node: Thing, labels: Mapping[str, str]) -> str:
        made_from = self.client.api.inspect_container(node["Id"])
        about = {**labels, MADE_FROM: json.dumps(body_of(made_from))}
        found: Any = self.client.api.commit(node["Id"], conf={"Labels": about})
        return str(found["Id"])

    def make(
        self,
        lab: str,
        node: str,
        image: Thing,
        body: dict[str, Any],
        change: Callable[[str], None] = lambda _: None,
    ) -> str:
        """Make the container of a node; `change` is given it before it starts."""
        api: Any = self.client.api
        first, *others = body.pop("Networks").items()
        body["NetworkingConfig"] = {"EndpointsConfig": {first[0]: _endpoint(first[1])}}
        body["Image"] = image["Id"]
        made = make_container(self.client, body, resource_name(lab, node))
        point("saves:node-made")
        for network, address in others:
            api.connect_container_to_network(made, network, ipv4_address=address)
        api.put_archive(made, "/", archive(start_files(), {}))
        change(made)
        return made

    def start(self, containers: Iterable[str]) -> None:
        """Start nodes that were made."""
        for container in containers:
            self.client.api.start(container)
            point("saves:restored-one")

    def images(self, lab: str, name: str) -> dict[str, Thing]:
        """The image of each node's root, by node. Raises StageError when one is not there."""
        images = self._whole(lab).get(name)
        if images is None:
            raise StageError(
                f"there is no saved state {name} of all nodes",
                details="an image or a volume of it is gone; nothing has been changed",
                hint="clear it and save anew: kollalab clear NAME; kollalab save NAME",
            )
        return images

    def _running(self, lab: str) -> dict[str, Thing]:
        found = self.owned.containers(lab, NODE)
        stopped = [each["Labels"][NODE] for each in found if each["State"] != "running"]
        if not found:
            raise StageError(
                f"the nodes of lab {lab} cannot be saved", details="docker has no container of them"
            )
        if stopped:
            raise StageError(
                f"{' and '.join(sorted(stopped))} of lab {lab} cannot be saved",
                details="nodes that do not run are not saved",
                hint=f"start them with kollalab up --name {lab}, then save again",
            )
        return {each["Labels"][NODE]: each for each in sorted(found, key=lambda e: e["Names"])}

    def _whole(self, lab: str) -> dict[str, dict[str, Thing]]:
        """The saved states of which all is there: name -> node -> its image."""
        names = {tag: each for each in self.owned.images(lab, SAVE) for tag in _names(each)}
        there = {"", *(store["Name"] for store in layers.stores(self.client))}
        found = {}
        for volume in self.owned.volumes(lab, SAVE):
            save, nodes = volume["Labels"][SAVE], volume["Labels"][NODES].split(",")
            if volume["Labels"].get(NEEDS, "") not in there:
                continue
            images = {
                node: names.get(f"{REPOSITORY}:{image_tag(lab, node, save)}") for node in nodes
            }
            whole = {node: image for node, image in images.items() if image is not None}
            if len(whole) == len(nodes):
                found[save] = whole
        return found

    def labels(self, lab: str, name: str) -> dict[str, str]:
        """The labels that say which lab a saved state belongs to."""
        volume, *_ = self.owned.volumes(lab, f"{SAVE}={name}")
        return _tag(volume["Labels"])

    def _go_on(self, lab: str) -> None:
        still = [e for e in self.owned.containers(lab, NODE) if e["State"] == "paused"]
        self._each(still, self._thaw)

    def _freeze(self, node: Thing) -> None:
        self._patiently(node, self.client.api.pause, "freeze", "is already paused")

    def _thaw(self, node: Thing) -> None:
        self._patiently(node, self.client.api.unpause, "resume", "is not paused")

    def _patiently(
        self, node: Thing, act: Callable[[str], None], what: str, done_already: str
    ) -> None:
        """Freeze or resume a node. Now and then runc cannot, and can a moment later."""
        from docker.errors import APIError

        name = node["Labels"][NODE]

        def done() -> bool | NotYet:
            try:
                act(node["Id"])
            except APIError as error:
                said = str(error.explanation or error)
                if done_already in said:
                    return True
                if not error.is_server_error():
                    raise
                return NotYet(said)
            return True

        try:
            until(f"docker can {what} {name}", done, timeout=FREEZE_TIMEOUT)
        except WaitError as error:
            raise StageError(
                f"docker could not {what} {name}",
                details=error.details,
                hint="look for processes of the node in state D (ps), then run again",
            ) from error

    def _remove_container(self, container: Thing) -> None:
        """Unplug a node, then remove it.

        Connections of processes that are killed wait for their last acknowledgement for as long as
        100 s, and with them the network namespace and all that is in it: a node's double, which has
        its address and refuses each connection to the node that is made in its place. Docker does
        not find the interfaces, which have names of their own.
        """
        from docker.errors import APIError, NotFound

        with suppress(APIError):
            # One that does not run has none.
            api: Any = self.client.api
            api.exec_start(api.exec_create(container["Id"], ["sh", "-c", UNPLUG])["Id"])
        with suppress(NotFound):
            self.client.api.remove_container(container["Id"], force=True, v=True)
        point("saves:node-removed")

    def _remove_images(self, images: Iterable[Thing]) -> None:
        """Remove images one by one: docker fails on two with the same parent at once."""
        from docker.errors import APIError

        for name in [name for image in images for name in _names(image) or [image["Id"]]]:
            try:
                self.client.api.remove_image(name, force=True)
            except APIError as error:
                # A restored node still uses it; it is removed after that node.
                if error.status_code not in (HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT):
                    raise

    def _sweep(self, lab: str) -> None:
        """Remove the images that have lost their names already."""
        found = self.owned.images(lab, SAVE)
        self._remove_images(image for image in found if not _names(image))

    def _each(self, things: Iterable[Thing], act: Callable[[Thing], Any]) -> None:
        with Threads() as pool:
            jobs = [pool.submit(act, thing) for thing in things]
        for job in jobs:
            job.result()


def start_files() -> dict[str, tuple[str, int]]:
    """The files by which the containers of a restored node start one after the other."""
    folder = files("pytest_kollalab.providers.docker") / "restored"
    return {
        path: ((folder / path.rpartition("/")[2]).read_text(encoding="utf-8"), mode)
        for path, mode in START_FILES.items()
    }


def body_of(container: Mapping[str, Any]) -> dict[str, Any]:
    """What a container was made from, out of docker's `inspect`; `Networks` are name -> address."""
    config = {
        name: container["Config"][name]
        for name in ("Hostname", "Cmd", "Env", "Tty", "StopSignal", "Labels")
    }
    config["Labels"] = {
        k: v for k, v in config["Labels"].items() if k not in (SAVE, NODES, NEEDS, MADE_FROM)
    }
    host = dict(container["HostConfig"])
    # Docker would fill an empty volume from the image, while the saved files are copied to it.
    host["Mounts"] = [
        {**mount, "VolumeOptions": {**(mount.get("VolumeOptions") or {}), "NoCopy": True}}
        for mount in host["Mounts"]
    ]
    mode = host["NetworkMode"]
    found = container["NetworkSettings"]["Networks"]
    networks = {name: found[name]["IPAMConfig"]["IPv4Address"] for name in found}
    first = {mode: networks.pop(mode)}
    return {**config, "HostConfig": host, "Networks": first | networks}


def _names(image: Thing) -> list[str]:
    return [name for name in image["RepoTags"] or () if name != "<none>:<none>"]


def _endpoint(address: str) -> dict[str, Any]:
    return {"IPAMConfig": {"IPv4Address": address}}


def _tag(labels: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in labels.items()
        if name.startswith("kollalab.") and name not in (SAVE, NODE, NODES, NEEDS, MADE_FROM)
    }


def saved_volume(lab: str, name: str) -> str:
    """The name of the volume with the saved data of the nodes' docker."""
    return resource_name(lab, f"saved-{name}")


def image_tag(lab: str, node: str, name: str) -> str:
    """The tag of the image with the root of a saved node."""
    return f"{lab}-{node}-{name}"
