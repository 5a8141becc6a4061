"""Fetching images: every node gets the images its containers need, while the deploy begins."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pytest_kollalab.cloud import inventory
from pytest_kollalab.errors import KollalabError, StageError
from pytest_kollalab.features import Feature

if TYPE_CHECKING:
    from pytest_kollalab.ssh import Ssh

# One at a time: dockerd fetches three layers of an image at once already.
SCRIPT = """\
for image do
    docker image inspect "$image" >/dev/null 2>&1 || docker pull --quiet "$image" || exit 1
done
"""


def images_by_node(features: Iterable[Feature], nodes: Sequence[str]) -> dict[str, list[str]]:
    """Which images each node needs, in the order in which the deploy wants them."""
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


def references(
    features: Iterable[Feature],
    nodes: Mapping[str, Any],
    images: Mapping[str, Any],
    tags: Mapping[str, str],
) -> dict[str, list[str]]:
    """The same as a node's docker asks the lab's registry for them.

    `nodes` and `images` are what these stages made, `tags` are those of images that have their own.
    """
    prefix = f"{nodes['registry']}/{images['namespace']}"
    return {
        node: [f"{prefix}/{name}:{tags.get(name, images['tag'])}" for name in needed]
        for node, needed in images_by_node(features, list(nodes["nodes"])).items()
    }


def check_built(features: Iterable[Feature], built: Iterable[str]) -> None:
    """Raise StageError when a feature needs an image that the stage `images` does not have."""
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
    """Images being fetched onto all nodes at once; use it as a context manager.

    The deploy need not wait: dockerd lets a second pull of an image join the first. Leaving the
    context waits for what is still under way, unless the deploy came to nothing.
    """

    def __init__(self, ssh: Ssh, images: Mapping[str, Sequence[str]]) -> None:
        self._errors: dict[str, KollalabError] = {}
        self._threads = [
            threading.Thread(target=self._fetch, args=(ssh, node, names), daemon=True)
            for node, names in images.items()
        ]

    def __enter__(self) -> Pull:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        for thread in self._threads if kind is None else ():
            thread.join()

    def check(self) -> None:
        """Raise what went wrong so far."""
        for node, error in self._errors.items():
            raise StageError(
                f"{node} could not fetch its images", details=str(error), hint=error.hint
            ) from error

    def _fetch(self, ssh: Ssh, node: str, images: Sequence[str]) -> None:
        try:
            ssh.run(node, ["sh", "-c", SCRIPT, "pull", *images])
        except KollalabError as error:
            self._errors[node] = error
