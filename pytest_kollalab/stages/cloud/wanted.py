"""What is wanted of a cloud: its features, variables, configuration files and images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pytest_kollalab.extensions.extensions import Extensions
from pytest_kollalab.features import backend, image_folders
from pytest_kollalab.features.base import Feature
from pytest_kollalab.providers.base import Images
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config
from pytest_kollalab.settings.read import keyed
from pytest_kollalab.stages.cloud import kolla_variables as kolla
from pytest_kollalab.stages.cloud import pull
from pytest_kollalab.stages.images.made import ImagesMade

if TYPE_CHECKING:
    from pytest_kollalab.providers.base import Provider


class WantedCloud:
    """What is wanted of the cloud of a lab.

    Args:
        config: The project's configuration.
        features: The features to deploy.
        provider: The provider of the nodes.
        extensions: Features, images and variables from other packages.
    """

    def __init__(
        self,
        config: Config,
        features: Sequence[Feature],
        provider: Provider,
        extensions: Extensions,
    ) -> None:
        self.config = config
        self.release = releases.get(config.release, stock=config.stock)
        self.features = tuple(features)
        self.provider = provider
        self.extensions = extensions
        self.folders = extensions.folders(self.features, config)

    def images(self, made: ImagesMade, nodes: Sequence[str]) -> Images:
        """The images that each node will run, given what the stage `images` made."""
        return pull.wanted(self.features, nodes, made, image_folders.tags(self.folders, made.tag))

    def resolve(self, names: Iterable[str]) -> tuple[Feature, ...]:
        """The features of these names and those that they need, configured by the project."""
        network = backend.named(self.config.network.backend)
        found = self.extensions.registry.resolve(names, self.config.release, network)
        return tuple(feature.configured(self.config) for feature in found)

    def globals(self) -> dict[str, Any]:
        """Kolla-Ansible's variables: of the features, the provider and the user."""
        layers = [*self.features, *self.extensions.layers]
        return kolla.merge_globals(layers, self.provider.globals(), self.config.globals)

    def settings(self) -> dict[str, Any]:
        """The settings of features that enter the key, by feature."""
        found = {
            feature.name: keyed(self.config.table(feature.name, feature.settings))
            for feature in self.features
            if feature.settings is not None
        }
        return {name: values for name, values in found.items() if values}

    def configuration(self, merged: kolla.Globals) -> dict[str, str]:
        """The configuration files of services by path, given the merged variables."""
        return kolla.merge_config(
            self.features, {}, self.config.config, userspace=kolla.is_userspace(merged)
        )
