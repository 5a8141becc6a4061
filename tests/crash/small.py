"""A lab of tools and one small image, built by the real stages: `small.py FOLDER RUN STAGE`."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.releases import releases
from pytest_kollalab.releases.releases import Release
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.images.stage import ImagesStage
from pytest_kollalab.stages.tools import ToolsStage
from pytest_kollalab.system.paths import Paths

LAB = "crash-small"
TINY = """\
FROM {{ namespace }}/{{ image_prefix }}base:{{ tag }}
{% block labels %}{% endblock %}
RUN echo tiny > /tiny
"""


@dataclass(frozen=True)
class SmallRelease(Release):
    """The default release with small images of our own, under a tag of its own."""

    folder: Path = Path()

    @property
    def data(self) -> Path:
        return self.folder


def add_release(recipe: Path) -> None:
    """Make the release `test` known; `recipe` is its folder of templates."""
    usual = releases.get(Config.release)
    names = ("suite", "python", "tools_python", "as_of", "buildkit", "disabled")
    fields = {name: getattr(usual, name) for name in names}
    wheels = tuple(source for source in usual.sources if source.wheel)
    releases.RELEASES["test"] = SmallRelease(name="test", sources=wheels, folder=recipe, **fields)


def engine(folder: Path, run: str) -> Engine:
    """The engine over both stages; all its state is below the folder."""
    add_release(folder / "recipe")
    paths = Paths(cache=folder / "cache", state=folder / "state")
    given = (Config(release="test"), Options(name=LAB), paths)
    stages = (ToolsStage(*given), ImagesStage(*given, names=["tiny"]))
    return Engine(LAB, stages, paths, run_id=run)


if __name__ == "__main__":
    where, run, stage = sys.argv[1:]
    if stage == "destroy":
        found = engine(Path(where), run)
        found._remove(found.stages["images"])
    else:
        engine(Path(where), run).ensure(stage)
