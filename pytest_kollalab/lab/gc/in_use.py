"""Finds the shared resources that are in use."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.garbage import InUse
from pytest_kollalab.engine.records import Record
from pytest_kollalab.engine.stage import Stage
from pytest_kollalab.features.base import stock_images
from pytest_kollalab.features.registry import built_in
from pytest_kollalab.releases import releases
from pytest_kollalab.settings.config import Config, ImagesConfig, Options
from pytest_kollalab.stages.all import shared_stages
from pytest_kollalab.system.errors import StateError
from pytest_kollalab.system.paths import Paths


def in_use(paths: Paths, config: Config, recently: float = 0.0) -> InUse:
    """The shared resources that this version's releases, this configuration or any lab use.

    Args:
        paths: Folders for state and cache.
        config: The project's configuration.
        recently: What any run used in so many seconds counts as well.
    """
    wanted = _needed(paths) | _recent(paths, recently)
    known: list[tuple[Stage[Any], str]] = []
    for each in (config, *(Config(release=name) for name in releases.RELEASES)):
        # Keep the images of the default mode as well as those of the configured mode.
        for configured in (each, Config(release=each.release, images=ImagesConfig())):
            stages = stages_of(configured, paths)
            engine = Engine("gc", stages, paths)
            # Do not ask registries: images that were never resolved are not here either.
            engine.offline()
            known += [(stage, engine.key(stage.name)) for stage in stages]
    keys = [InUse({stage.name: frozenset({key})}) for stage, key in known]
    found = reduce(or_, keys, wanted)
    return reduce(or_, (_used_by(stage, found, paths) for stage, _ in known), found)


def stages_of(config: Config, paths: Paths) -> tuple[Stage[Any], ...]:
    """The stages that all labs of a configuration share."""
    return shared_stages(config, Options(), paths, names=stock_images(built_in(config.release)))


def _needed(paths: Paths) -> InUse:
    """The keys of the shared stages that existing labs need."""
    labs = (paths.state / "labs").glob("*/*.json")
    needs = (record.needs for path in labs if (record := _read(path)) is not None)
    return reduce(
        or_, (InUse({n: frozenset({k}) for n, k in each.items()}) for each in needs), InUse()
    )


def _recent(paths: Paths, seconds: float) -> InUse:
    """The keys of the shared stages that were built or used in so many seconds."""
    since = time.time() - seconds
    found: dict[str, set[str]] = {}
    for path in (paths.cache / "stages").glob("*/records/*.json"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime > since:
                found.setdefault(path.parts[-3], set()).add(path.stem)
    return InUse({stage: frozenset(keys) for stage, keys in found.items()})


def _used_by(stage: Stage[Any], found: InUse, paths: Paths) -> InUse:
    folder = paths.shared(stage.name) / "records"
    recorded = [_read(folder / f"{key}.json") for key in found.of(stage.name)]
    return stage.uses([*_made(stage, recorded)])


def _made(stage: Stage[Any], recorded: Iterable[Record | None]) -> Iterator[Any]:
    for record in recorded:
        if record is not None and record.made:
            yield record.read(stage.makes)


def _read(path: Path) -> Record | None:
    try:
        return records.load(path)
    except StateError:
        return None
