"""The clone of a lab: nodes made from its saved ones, with another name and other addresses."""

from __future__ import annotations

import io
import json
import posixpath
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.records import Tag
from pytest_kollalab.providers.addresses import rewrite
from pytest_kollalab.providers.base import Origin
from pytest_kollalab.providers.docker.copy import Volumes
from pytest_kollalab.providers.docker.saves import MADE_FROM, TRASH, DockerSaves, saved_volume
from pytest_kollalab.providers.docker.spec import LAYERS, NODE, archive, own_volume, resource_name
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.threads import Threads

if TYPE_CHECKING:
    from docker import DockerClient

    from pytest_kollalab.providers.docker.owned import Thing

# Path -> text and mode of files; the same by node.
Texts = Mapping[str, tuple[str, int]]
Files = Mapping[str, Texts]
# The folder on a node that Kolla-Ansible writes to.
KOLLA = "/etc/kolla"
# The unit that changes addresses in the databases before the services start.
UNIT = "/etc/systemd/system/kollalab-moved.service"
WANTED = "/etc/systemd/system/multi-user.target.wants/kollalab-moved.service"
MOVED = "/etc/kollalab/moved/README"


def clone(
    saves: DockerSaves, origin: Origin, tag: Tag, files: Files, moves: Mapping[str, str]
) -> None:
    """Make the nodes of another lab from what was saved of `origin`, and start them.

    `files` are put into the nodes, and what their own files and their docker know of the
    addresses in `moves` is rewritten. Raises StageError when a part of it is not there.
    """
    lab, labels = tag.lab, tag.labels()
    images = saves.images(origin.lab, origin.label)
    names = dict.fromkeys((origin.former or origin.lab, origin.lab))
    moves = {**moves, **{resource_name(name, ""): resource_name(lab, "") for name in names}}
    for node in images:
        saves.client.api.create_volume(own_volume(lab, node), labels=labels)
    point("clone:volumes-made")
    saved = saved_volume(origin.lab, origin.label)
    volumes = Volumes(saves.client, [saved, *(own_volume(lab, node) for node in images)])
    into = {node: volumes.path(own_volume(lab, node)) for node in images}
    image = next(iter(images.values()))["Id"]
    with Threads() as pool:
        made = [
            pool.submit(
                saves.make,
                lab,
                node,
                images[node],
                {**_body(images[node], moves), "Labels": {**labels, NODE: node}},
                partial(_move, saves.client, files=files[node], moves=moves),
            )
            for node in images
        ]
        helper = resource_name(lab, "copy")
        pairs = [(volumes.path(saved, node), into[node]) for node in images]
        trash = volumes.path(own_volume(lab, next(iter(images))), TRASH)
        volumes.copy(helper, image, pairs, trash, labels)
        point("clone:copied")
        volumes.rewrite(helper, image, list(into.values()), moves, labels)
    containers = [job.result() for job in made]
    point("clone:made")
    saves.start(containers)


def rewritten(data: bytes, change: Callable[[str], str]) -> bytes:
    """A tar with the text of each file in it changed; owners and modes stay."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data)) as old,
        tarfile.open(fileobj=buffer, mode="w") as new,
    ):
        for member in old:
            file = old.extractfile(member) if member.isreg() else None
            if file is None:
                new.addfile(member)
                continue
            text = file.read().decode(errors="surrogateescape")
            body = change(text).encode(errors="surrogateescape")
            member.size = len(body)
            new.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


def _move(client: DockerClient, container: str, files: Texts, moves: Mapping[str, str]) -> None:
    """Replace addresses in the files of a node that does not run yet, and add files to it."""
    from docker.errors import NotFound

    api: Any = client.api
    with suppress(NotFound):
        # Nodes without a cloud have none.
        chunks, _ = api.get_archive(container, KOLLA)
        data = rewritten(b"".join(chunks), lambda text: rewrite(text, moves))
        api.put_archive(container, posixpath.dirname(KOLLA), data)
    api.put_archive(container, "/", archive({MOVED: ("", 0o644), **files}, {WANTED: UNIT}))


def _body(image: Thing, moves: Mapping[str, str]) -> dict[str, Any]:
    made_from = image["Labels"][MADE_FROM]
    body: dict[str, Any] = json.loads(rewrite(made_from, moves))
    mounts = body["HostConfig"]["Mounts"]
    for mount, old in zip(mounts, json.loads(made_from)["HostConfig"]["Mounts"], strict=True):
        if mount["Target"] == LAYERS:
            # This volume belongs to no lab, whatever its name looks like.
            mount["Source"] = old["Source"]
    return body
