"""All stages of a lab, in their order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pytest_kollalab.engine.stage import Inputs, Stage
from pytest_kollalab.extensions.extensions import Extensions
from pytest_kollalab.features.base import Feature, images, nodes
from pytest_kollalab.features.image_folders import Folder
from pytest_kollalab.providers.base import Provider
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.cloud.stage import CloudStage
from pytest_kollalab.stages.images.choice import images_stage
from pytest_kollalab.stages.nodes import NodesStage
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.stages.tools import ToolsStage
from pytest_kollalab.system.paths import Paths


def stages(
    config: Config,
    options: Options,
    paths: Paths,
    *,
    features: Sequence[Feature],
    extensions: Extensions,
    provider: Provider,
    made_by: Callable[[Inputs], Provider],
    source: Callable[[], CloneSource | None],
) -> tuple[Stage[Any], ...]:
    """The four stages of a lab.

    Args:
        config: The project's configuration.
        options: The options of this run.
        paths: Folders for state and cache.
        features: The features of the lab.
        extensions: Features, images and variables from other packages.
        provider: The provider of the nodes.
        made_by: Returns the provider that made nodes with such inputs.
        source: Returns what the nodes are cloned from, or None.
    """
    given = (config, options, paths)
    cloud = CloudStage(*given, features=features, provider=provider, extensions=extensions)
    return (
        *shared_stages(*given, names=images(features), folders=cloud.cloud.folders),
        NodesStage(
            *given,
            provider=provider,
            made_by=made_by,
            settings=extensions.keyed(config, provider.name),
            extra=nodes(features),
            source=source,
            images=cloud.cloud.images,
        ),
        cloud,
    )


def shared_stages(
    config: Config,
    options: Options,
    paths: Paths,
    *,
    names: Sequence[str],
    folders: Sequence[Folder] = (),
) -> tuple[Stage[Any], ...]:
    """The stages that all labs share, tools and images.

    Args:
        config: The project's configuration.
        options: The options of this run.
        paths: Folders for state and cache.
        names: Names of the images that are needed.
        folders: Folders with templates of added images.
    """
    given = (config, options, paths)
    return ToolsStage(*given), images_stage(*given, names=names, folders=folders)
