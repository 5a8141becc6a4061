"""Nodes cloned from a saved state by the real stage: `clone.py STATE LAB build|destroy`."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

from pytest_kollalab.engine import records
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.records import READY, Record
from pytest_kollalab.engine.stage import Inputs, Stage, Work
from pytest_kollalab.providers.base import NodesMade
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.nodes import NodesStage
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.system import files
from pytest_kollalab.system.paths import Paths, default_paths

CLONE = "crash-clone"


class Images(Stage[ImagesMade]):
    """No images: nodes without a cloud need none."""

    makes = ImagesMade
    name = "images"

    def inputs(self) -> Inputs:
        return {}

    def gone(self, made: ImagesMade) -> str | None:
        return None

    def create(self, work: Work) -> ImagesMade:
        return ImagesMade(namespace="", tag="", images=(), registry_root=Path(), registry_image="")

    def destroy(self, work: Work) -> None:
        pass


def source(home: Path, lab: str) -> CloneSource:
    """The last saved state of a lab, with what a cloud would have left there."""
    folder = home / "labs" / lab
    nodes = records.load(folder / "nodes.json")
    assert nodes is not None
    save = json.loads(max(folder.glob("saves/*.json")).read_text())
    kept = home / "cloud"
    files.write(kept / "cloud" / "etc" / "passwords.yml", "database_password: word\n")
    records.save(kept / "cloud.json", Record("cloud", "k", "r", READY, inputs={}))
    return CloneSource(lab, save["label"], nodes.read(NodesMade), kept, (), nullcontext)


def engine(home: Path, lab: str) -> Engine:
    """The engine over the nodes of the clone."""
    options = Options(name=CLONE)
    paths = Paths(cache=default_paths().cache, state=home)
    provider = DockerProvider(options.provider_uri, options.mirror, paths)
    nodes = NodesStage(
        Config(), options, paths, provider=provider, source=lambda: source(home, lab)
    )
    return Engine(CLONE, (Images(), nodes), paths)


if __name__ == "__main__":
    where, of, verb = sys.argv[1:]
    found = engine(Path(where), of)
    if verb == "destroy":
        found.destroy()
        # As a lab does at its end: records and logs.
        shutil.rmtree(found.paths.lab(CLONE))
    else:
        found.ensure("nodes")
