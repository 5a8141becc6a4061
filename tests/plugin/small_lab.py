"""A lab of small stages for tests of the plugin, as the text of a conftest.py."""

# What the stages of such labs make.
MADE = """\
from pytest_kollalab.providers.base import NodeMade, NodesMade
from pytest_kollalab.stages.cloud.made import CloudMade
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.tools import ToolsMade

NODE = NodeMade("10.64.0.11", "10.64.1.11", "10.64.2.11", "10.64.3.11")
MADE = {
    "tools": ToolsMade(venv=Path("venv")),
    "images": ImagesMade(
        namespace="kolla", tag="t", images=(), registry_root=Path("store"), registry_image=""
    ),
    "nodes": NodesMade(
        provider="none", nodes={}, interfaces={}, networks={},
        ssh_config=Path("none"), ssh_key=Path("none"),
    ),
    "cloud": CloudMade(
        clouds_yaml=Path("none"), cloud="none", auth_url="", features=(), etc=Path("none")
    ),
}
"""

# A stage whose inputs never change and whose result is always there; `create` and `destroy` follow.
SMALL_STAGE = (
    MADE
    + """

class Small(Stage):
    def __init__(self, name, *needs, shared=False):
        self.name, self.needs, self.shared = name, needs, shared
        self.makes = type(MADE[name])

    def inputs(self):
        return {}

    def gone(self, made):
        return None
"""
)

# What a class SmallLab has below its first lines, and how it takes the place of the real one.
OF_SMALL_STAGES = """\
    @functools.cached_property
    def engine(self):
        stages = (
            Small("tools", shared=True),
            Small("images", "tools", shared=True),
            Small("nodes", "images"),
            Small("cloud", "tools", "nodes"),
        )
        return Engine(
            self.name, stages, self.paths,
            fresh=self.options.fresh, run_id=self._run_id, session=self.session,
            say=self._say, mark=self._mark, spare=self._spare,
        )

    def _check_host(self, building):
        pass


pytest_kollalab.lab.lab.Lab = SmallLab
"""

# The real plugin, Lab, engine and records; only the stages make files instead of clouds.
CONFTEST = (
    """
import functools
import time
from pathlib import Path

import pytest_kollalab.lab.lab
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.stage import Stage
from pytest_kollalab.system.errors import StageError

TRACE = Path(__file__).with_name("trace")


"""
    + SMALL_STAGE
    + """
    def create(self, work):
        names = (f"break-{self.name}", f"break-{self.name}-{work.tag.lab}")
        if any(Path(__file__).with_name(name).exists() for name in names):
            work.log.write_text("all of it")
            raise StageError(
                f"{self.name} is full", details="many\\nlines", hint="make room", log=work.log
            )
        self.pause("create")
        self.note("create")
        return MADE[self.name]

    def destroy(self, work):
        self.pause("destroy")
        self.note("destroy")

    def pause(self, verb):
        path = Path(__file__).with_name(f"slow-{verb}-{self.name}")
        if path.exists():
            path.with_name(f"began-{verb}-{self.name}").touch()
            # So many seconds, or until the test has seen enough and takes the file away.
            end = time.monotonic() + float(path.read_text())
            while path.exists() and time.monotonic() < end:
                time.sleep(0.02)

    def note(self, verb):
        with TRACE.open("a") as file:
            file.write(f"{verb} {self.name}\\n")


class SmallLab(pytest_kollalab.lab.lab.Lab):
"""
    + OF_SMALL_STAGES
)
