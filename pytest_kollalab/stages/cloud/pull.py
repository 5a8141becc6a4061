"""Pulls the images of each node while the deploy begins."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import Images
from pytest_kollalab.stages.cloud import inventory
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.system.errors import KollalabError, StageError

if TYPE_CHECKING:
    from pytest_kollalab.system.ssh import Ssh

# Pulls one image at a time, since dockerd already fetches three layers at once.
SCRIPT = """\
for image do
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" || exit 1
done
"""


def images_by_node(features: Iterable[Feature], nodes: Sequence[str]) -> dict[str, list[str]]:
    """The images that each node needs, in the order in which the deploy uses them."""
    members = inventory.groups(nodes)
    wanted: dict[str, dict[str, None]] = {node: {} for node in nodes}
    for feature in features:
        for group, names in (
            ("control", feature.control_images),
            ("compute", feature.compute_images),
        ):
            for node in members[group]:
                wanted[node].update(dict.fromkeys(names))
        for node, names in feature.nodes.items():
            wanted[node].update(dict.fromkeys(names))
    return {node: list(names) for node, names in wanted.items()}


def wanted(
    features: Iterable[Feature],
    nodes: Sequence[str],
    images: ImagesMade,
    tags: Mapping[str, str],
) -> Images:
    """The images that each node needs, as repositories and tags of the lab's registry.

    Args:
        features: The features of the lab.
        nodes: The names of the nodes.
        images: What the stage `images` made.
        tags: The tags of added images, by image. All other images have the tag of `images`.
    """
    namespace, tag = images.namespace, images.tag
    return Images(
        tag,
        {
            node: [f"{namespace}/{name}:{tags.get(name, tag)}" for name in needed]
            for node, needed in images_by_node(features, nodes).items()
        },
    )


def check_built(features: Iterable[Feature], built: Iterable[str]) -> None:
    """Check that all images of the features were built.

    Raises:
        StageError: A feature needs an image that the stage `images` did not build.
    """
    have = set(built)
    for feature in features:
        missing = [name for name in feature.images if name not in have]
        if missing:
            raise StageError(
                f"the feature {feature.name} needs images that were not built",
                details=", ".join(missing),
                hint="kollalab up --fresh images",
            )


class Pull:
    """A context manager that pulls images onto all nodes at the same time.

    The deploy need not wait for it, since dockerd joins concurrent pulls of the same image. The end
    of the context waits for the remaining pulls, unless the body raised an exception.

    Args:
        ssh: SSH access to the nodes.
        images: The images of each node.
        registry: The address of the lab's registry.
        done: Called with the name of a node once it has all images, if it had to pull any.
    """

    def __init__(
        self, ssh: Ssh, images: Images, registry: str, done: Callable[[str], object]
    ) -> None:
        self._ssh = ssh
        self._done = done
        self._errors: dict[str, KollalabError] = {}
        self._threads = [
            threading.Thread(target=self._fetch, args=(registry, node, names), daemon=True)
            for node, names in images.by_node.items()
        ]

    def __enter__(self) -> Pull:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for thread in self._threads if kind is None else ():
            thread.join()

    def check(self) -> None:
        """Check for errors so far.

        Raises:
            StageError: A node could not pull its images.
        """
        for node, error in self._errors.items():
            raise StageError(
                f"{node} could not fetch its images", details=str(error), hint=error.hint
            ) from error

    def _fetch(self, registry: str, node: str, images: Sequence[str]) -> None:
        names = [f"{registry}/{image}" for image in images]
        try:
            said = self._ssh.run(node, ["sh", "-c", SCRIPT, "pull", *names]).stdout
        except KollalabError as error:
            self._errors[node] = error
            return
        if said:
            self._done(node)
