"""Which stage `images` a lab has: one that builds images, or one that pulls them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pytest_kollalab.features.image_folders import Folder
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.images.stage import ImagesStage
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.paths import Paths

if TYPE_CHECKING:
    from pytest_kollalab.stages.images.pulled import PulledImagesStage


def images_stage(
    config: Config,
    options: Options,
    paths: Paths,
    *,
    names: Sequence[str],
    folders: Sequence[Folder] = (),
) -> ImagesStage | PulledImagesStage:
    """The stage for the configured mode: one that builds images, or one that pulls them.

    Args:
        config: The project's configuration.
        options: The options of this run.
        paths: Folders for state and cache.
        names: Names of the images that are needed.
        folders: Folders with templates of added images.

    Raises:
        ConfigError: Images are pulled, but there are added images, which must be built.
    """
    if config.images.mode == "build":
        return ImagesStage(config, options, paths, names=names, folders=folders)
    if folders:
        raise ConfigError(
            f"the images of {folders[0].path} are built, but images.mode is pull",
            hint='set images.mode = "build", or deselect what asks for them',
        )
    # What builds images needs none of it.
    from pytest_kollalab.stages.images.pulled import PulledImagesStage

    return PulledImagesStage(config, options, paths, names=names)
