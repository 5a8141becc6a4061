"""The store of layers: nodes that are containers start with the images that nodes had before.

Each node has a docker of its own. To pull the same images into each new one takes most of a minute
on two processors, gigabytes on the disk, and their removal. So what the nodes of one lab have
pulled is kept in a volume, the store. The next nodes have that volume mounted, read-only, and in
their docker's own folder nothing but a link for each layer. So a node's saved state is small, and
its removal is quick: both take as long as there are files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from pytest_kollalab.providers.base import Images, Spec
from pytest_kollalab.providers.docker import layers_copy, node_image
from pytest_kollalab.providers.docker import spec as docker_spec
from pytest_kollalab.providers.docker.copy import Volumes
from pytest_kollalab.providers.docker.spec import NEEDS, NODE, own_volume, resource_name
from pytest_kollalab.system.crash_points import point
from pytest_kollalab.system.errors import StageError

if TYPE_CHECKING:
    from docker import DockerClient

    from pytest_kollalab.engine.records import Tag

LABEL = "kollalab.layers"
PREFIX = "kollalab-layers-"
# The version of the node's docker is the last argument of the script.
COPY = ("sh", "-c", 'exec python3 -c "$0" "$@" "$(dockerd --version)"')


def store(client: DockerClient, tag: str) -> str:
    """Create the store for the images of a tag, if needed, and return its volume's name.

    Raises docker's APIError.
    """
    name: str = PREFIX + tag
    # Docker leaves an existing volume as it is.
    client.api.create_volume(name, labels={LABEL: tag})
    return name


def fill(client: DockerClient, spec: Spec, images: Images, node: str, registry: str) -> None:
    """Link images into the volume of a node whose docker has not started yet.

    What the store does not have the node pulls, and all of it where the store cannot be used.
    """
    names = {ref: f"{registry}/{ref}" for ref in images.by_node.get(node, ())}
    image = node_image.reference(spec.nodes.suite)
    try:
        _link(client, "fill", spec.tag, node, images, image, names)
    except StageError as error:
        spec.say(f"{node} will pull all its images: {error.brief}: {error.details}")
    point("nodes:volume-filled")


def unfit(client: DockerClient, suite: str) -> str | None:
    """Why nodes with the node image of a suite use no store; None if they do, or without image.

    Starts a container for a moment: only the image knows which docker is in it.
    """
    if not node_image.exists(client, suite):
        return None
    said = client.containers.run(
        node_image.reference(suite), ["dockerd", "--version"], remove=True, network_mode="none"
    )
    return layers_copy.unfit(said.decode().strip(), set())


def keep(client: DockerClient, tag: Tag, node: str, images: Images, registry: str) -> None:
    """Link images that a node has into the store. Raises StageError."""
    names = {f"{registry}/{ref}": ref for ref in images.by_node[node]}
    image = client.api.inspect_container(resource_name(tag.lab, node))["Image"]
    _link(client, "keep", tag, node, images, image, names)


def stores(client: DockerClient) -> Sequence[Mapping[str, Any]]:
    """The stores that are there, one for each tag of images, as docker lists volumes."""
    return client.api.volumes(filters={"label": LABEL})["Volumes"] or []


def of_node(node: Mapping[str, Any]) -> str:
    """The store that is mounted into a node, by docker's list of its mounts; empty if none is."""
    mounts = (each for each in node["Mounts"] if each.get("Destination") == docker_spec.LAYERS)
    return next((str(each["Name"]) for each in mounts), "")


def needed(client: DockerClient) -> set[str]:
    """The stores that nodes and saved states of any lab need."""
    api: Any = client.api
    saved = api.volumes(filters={"label": NEEDS})["Volumes"] or []
    nodes = api.containers(all=True, filters={"label": NODE})
    return {of_node(node) for node in nodes} | {volume["Labels"][NEEDS] for volume in saved}


def _link(
    client: DockerClient,
    verb: str,
    tag: Tag,
    node: str,
    images: Images,
    image: str,
    names: Mapping[str, str],
) -> None:
    """Run the script in a container of an image; `names` is name there -> name here."""
    from docker.errors import APIError

    otherwise = f"the images of {node} could not be linked"
    script = (files("pytest_kollalab.providers.docker") / "layers_copy.py").read_text("utf-8")
    try:
        ends = (store(client, images.tag), own_volume(tag.lab, node))
        source, target = ends if verb == "fill" else reversed(ends)
        volumes = Volumes(client, ends)
        paths = (volumes.path(source), volumes.path(target))
        volumes.run(
            resource_name(tag.lab, f"{verb}-{node}"),
            image,
            [*COPY, script, verb, *paths, json.dumps(dict(names)), docker_spec.LAYERS],
            tag.labels(),
            otherwise=otherwise,
        )
    except APIError as error:
        raise StageError(otherwise, details=str(error.explanation)) from error
