"""The stage `cloud`: deploys OpenStack onto the nodes with Kolla-Ansible and checks its health."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.stage import Inputs, Stage, Work
from pytest_kollalab.extensions.extensions import NOTHING, Extensions
from pytest_kollalab.features import BACKEND, image_folders
from pytest_kollalab.features.base import Feature
from pytest_kollalab.features.base import nodes as own_nodes
from pytest_kollalab.providers.base import NODES, NodesMade
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.cloud import pull
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.cloud.wanted import WantedCloud
from pytest_kollalab.system import digest

if TYPE_CHECKING:
    from pytest_kollalab.providers.base import Provider
    from pytest_kollalab.system.paths import Paths


# In the recorded inputs: the features whose playbooks were replayed on the cloud as it was. It is
# in the inputs of no build, so that the key is never that of one.
REPLAYED = "replayed"


class CloudStage(Stage[CloudMade]):
    """Deploys the features of a lab onto its nodes.

    Args:
        config: The project's configuration.
        options: The options of this run.
        paths: Folders for state and cache.
        features: The features to deploy.
        provider: The provider of the nodes.
        extensions: Features, images and variables from other packages.
    """

    makes = CloudMade
    name = "cloud"
    needs = ("tools", "images", "nodes")
    # A deploy cannot be removed from a node. A new deploy needs new nodes.
    consumes = ("nodes",)
    resumable = True
    version = 1

    def __init__(
        self,
        config: Config,
        options: Options,
        paths: Paths,
        *,
        features: Sequence[Feature],
        provider: Provider,
        extensions: Extensions = NOTHING,
    ) -> None:
        self.options = options
        self.paths = paths
        self.cloud = WantedCloud(config, features, provider, extensions)

    def inputs(self) -> Inputs:
        merged, folders = self.cloud.globals(), self.cloud.folders
        found = {
            "features": [feature.name for feature in self.cloud.features],
            "globals": merged,
            "config": self.cloud.configuration(merged),
            "release": self.cloud.config.release,
        }
        # Left out if it is the default, or empty, so that the keys of other labs do not change.
        if (backend := self.cloud.config.network.backend) != BACKEND:
            found["backend"] = backend
        if folders:
            found["images"] = {n: folder.digest for folder in folders for n in folder.names}
        own = {
            f"{feature.name}/{path.name}": image_folders.digest(path.parent)
            for feature in self.cloud.features
            for path in feature.playbooks
        }
        found |= {"playbooks": own} if own else {}
        settings = self.cloud.settings()
        stock = {"stock": True} if self.cloud.config.stock else {}
        return found | ({"settings": settings} if settings else {}) | stock

    def serves(self, recorded: Inputs, wanted: Inputs) -> bool:
        """Whether the recorded cloud has at least the wanted features and is otherwise the same.

        To compare the rest, the wanted inputs are rendered again with the recorded features. Of
        features that are not known here, only what bears their names may be more: playbooks,
        settings and images of their own. A cloud on which playbooks were replayed serves as if it
        had been built with them.
        """
        recorded = {part: value for part, value in recorded.items() if part != REPLAYED}
        if _comparable(recorded) == _comparable(wanted):
            return True
        there, asked = set(recorded.get("features", ())), set(wanted["features"])
        known = there & set(self.cloud.extensions.registry.names())
        if not asked < there or not asked <= known:
            return False
        all_known = self._with_features(known).inputs()
        return _comparable(_without(recorded, there - known, all_known)) == _comparable(all_known)

    def room(self) -> dict[str, int]:
        """The disk space in bytes for the images on each node and the data of the services."""
        fetched = pull.images_by_node(
            self.cloud.features, (*NODES, *own_nodes(self.cloud.features))
        )
        return {room.DOCKER: room.PULLED * sum(map(len, fetched.values())) + room.BASE}

    def gone(self, made: CloudMade) -> str | None:
        """Why the cloud's files are missing, or None. The stage `nodes` checks the nodes."""
        for path in (made.clouds_yaml, made.etc):
            if not path.exists():
                return f"{path} is gone"
        return None

    def adopts(self, needed: Sequence[Made]) -> bool:
        """Whether the cloud came with cloned nodes."""
        return any(isinstance(each, NodesMade) and each.clone is not None for each in needed)

    def reworked(self, recorded: Inputs) -> str:
        """Of which features the playbooks were replayed."""
        names = recorded.get(REPLAYED, ())
        return (
            f"not as a new one: the playbooks of {' '.join(names)} were replayed" if names else ""
        )

    def manner(self) -> str:
        """The provider's name, and whether the deploy is a stock one."""
        return f"{self.cloud.provider.name}{' stock' if self.cloud.config.stock else ''}"

    def create(self, work: Work) -> CloudMade:
        """Configure and deploy the cloud, then wait until it is healthy."""
        # What reuses a cloud needs none of it.
        from pytest_kollalab.stages.cloud.making import Making

        return Making(self.cloud).make(work)

    def destroy(self, work: Work) -> None:
        """Remove the cloud's files. Its services are removed with the nodes."""
        shutil.rmtree(work.folder, ignore_errors=True)

    def _with_features(self, names: set[str]) -> CloudStage:
        return CloudStage(
            self.cloud.config,
            self.options,
            self.paths,
            features=self.cloud.resolve(names),
            provider=self.cloud.provider,
            extensions=self.cloud.extensions,
        )


def _without(recorded: Inputs, unknown: set[str], wanted: Inputs) -> Inputs:
    """The recorded inputs without what bears the names of features that are not known here.

    Args:
        recorded: The recorded inputs.
        unknown: The names of these features.
        wanted: The inputs of a cloud without them, which says which images are of others.
    """
    if not unknown:
        return recorded
    others = {
        "playbooks": lambda name: name.partition("/")[0] not in unknown,
        "settings": lambda name: name not in unknown,
        "images": lambda name: name in wanted.get("images", {}),
    }
    kept: dict[str, Any] = {}
    for part, value in recorded.items():
        if part in others:
            value = {name: each for name, each in value.items() if others[part](name)}
            if not value:
                # Left out by `inputs` as well.
                continue
        kept[part] = value
    return kept | {"features": [f for f in recorded["features"] if f not in unknown]}


def _comparable(inputs: Inputs) -> str:
    # Other versions may have had them in another order.
    return digest.canonical({**inputs, "features": sorted(inputs.get("features", ()))})
