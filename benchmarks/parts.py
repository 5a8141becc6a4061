"""The parts of the benchmark: each measures something, beside what it is compared with."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.stages import history, last_builds
from benchmarks.stock import SURE, Stock, build_images, changed
from pytest_kollalab.engine import progress
from pytest_kollalab.features.base import stock_images
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.settings.config import Config, Options
from pytest_kollalab.stages.images.stage import ImagesStage
from pytest_kollalab.stages.nodes import NodesStage
from pytest_kollalab.stages.states.saves import GOLDEN
from pytest_kollalab.system import daemon
from pytest_kollalab.system.paths import default_paths
from pytest_kollalab.system.run import run

NAME = "benchmark"
REPEATS = 3
TEST = "def test_nothing({fixture}):\n    pass\n"

Say = Callable[[str], None]
Figures = dict[str, float]


class Bench:
    """A host, and the labs on it that are measured; every lab is gone when it is left."""

    def __init__(self, features: tuple[str, ...], folder: Path, say: Say) -> None:
        self.features = features
        self.folder = folder
        self.say = say
        self.figures: Figures = {}

    def take(self, name: str, value: float) -> None:
        """Take a figure down, and say it."""
        self.figures[name] = value
        self.say(f"{name}: {value:g}")

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Take the seconds of the body down."""
        self.say(f"{name} ...")
        started = time.monotonic()
        yield
        self.take(name, round(time.monotonic() - started, 1))

    def lab(self, name: str, **options: str) -> Lab:
        """A lab with the features that are measured."""
        given = Options(name=name, **options)  # type: ignore[arg-type]
        return Lab(Config(), given, features=self.features, say=lambda _: None)

    @contextmanager
    def one(self, name: str, **options: str) -> Iterator[Lab]:
        """A lab that is gone afterwards."""
        lab = self.lab(name, **options)
        try:
            yield lab
        finally:
            lab.destroy()

    def images(self) -> None:
        """Kolla images of the lab from nothing: as the stage builds them, and as Kolla does."""
        lab = self.lab(NAME)
        made, venv = lab.ensure("images"), lab.ensure("tools").venv
        stage = lab.engine.stages["images"]
        assert isinstance(stage, ImagesStage)
        rendered = stage.rendered()
        assert rendered is not None
        names = [name for name in stock_images(lab.features) if name in made.images]
        conf = stage.configure(venv, rendered, names, self.folder, self.folder / "sources.log")
        for name, tag, more in (("", "ours", ()), ("stock_", "stock", ("--threads", "8"))):
            seconds = build_images(venv, conf, names, tag, *more)
            self.take(f"{name}image_build_seconds", round(seconds, 1))
        self.ratio("image_build_vs_stock", "image_build_seconds", "stock_image_build_seconds")
        lab.lease.release()

    def stock(self) -> None:
        """Kolla-Ansible as it is: images to the nodes, deploy, destroy."""
        with self.one(f"{NAME}-stock", until="nodes") as lab:
            nodes = lab.engine.stages["nodes"]
            assert isinstance(nodes, NodesStage)
            # Nodes that have nothing, as they are the first time.
            nodes.images = None
            lab.up()
            self.take("bare_nodes_seconds", stage_seconds(f"{NAME}-stock")["nodes_seconds"])
            # The stage is looked at beyond where the lab was told to stop.
            stock = Stock(lab, self.folder / "stock.log")
            self.take("pull_seconds", round(stock.pull(), 1))
            site = stock.write()
            for action, *more in (["prechecks"], ["deploy"], ["destroy", SURE]):
                seconds = stock.play(action, site, *more)
                self.take(f"stock_{action}_seconds", round(seconds, 1))

    def ours(self, *, compared: bool) -> None:
        """A lab of ours: deployed, used again, rolled back, cloned, destroyed."""
        with self.one(NAME) as lab:
            with self.timed("up_seconds"):
                lab.up()
            self.figures |= stage_seconds(NAME)
            if bare := self.figures.get("bare_nodes_seconds"):
                self.take("transport_seconds", round(self.figures["nodes_seconds"] - bare, 1))
            self.figures["lab_memory_mb"] = memory(NAME)
            self.idle()
            with self.timed("restore_seconds"):
                lab.rollback(GOLDEN)
            self.ratio("rollback_vs_deploy", "restore_seconds", "deploy_seconds")
            self.second()
            if compared:
                self.redeploy(lab)
            with self.timed("destroy_seconds"):
                lab.destroy()

    def second(self) -> None:
        """One more lab beside the first."""
        with self.one(f"{NAME}-2", clone_of=NAME, golden="none") as lab:
            with self.timed("second_lab_seconds"):
                lab.up()
            self.figures["second_lab_memory_mb"] = memory(f"{NAME}-2")

    def redeploy(self, lab: Lab) -> None:
        """Kolla-Ansible as it is over a lab of ours: it should find nothing to do."""
        stock = Stock(lab, self.folder / "redeploy.log")
        before = stock.standing()
        stock.play("deploy", stock.write())
        found = changed(before, stock.standing())
        for line in found:
            self.say(f"a stock deploy changed: {line}")
        self.figures["changed_by_stock_deploy"] = len(found)

    def idle(self) -> None:
        """A session in which all is reused, against pytest without the plugin."""
        with tempfile.TemporaryDirectory() as folder:
            seconds = {}
            for fixture, more in (
                ("", ["-p", "no:kollalab"]),
                ("openstack_cloud", ["--kollalab-name", NAME, "--kollalab-keep", "always"]),
            ):
                path = Path(folder, f"test_{fixture or 'bare'}.py")
                path.write_text(TEST.format(fixture=fixture), encoding="utf-8")
                argv: list[str | Path] = [sys.executable, "-m", "pytest", "-q", path, *more]
                runs = [run(argv, cwd=Path(folder)).seconds for _ in range(REPEATS)]
                seconds[fixture] = min(runs)
        self.take("idle_overhead_seconds", round(seconds["openstack_cloud"] - seconds[""], 2))

    def ratio(self, name: str, ours: str, theirs: str) -> None:
        """Take down the first figure divided by the second, if both are there."""
        if ours in self.figures and self.figures.get(theirs):
            self.take(name, round(self.figures[ours] / self.figures[theirs], 2))


def stage_seconds(lab: str) -> Figures:
    """What the last build of the lab's nodes and of its cloud took."""
    rows = last_builds(history(default_paths().state / progress.HISTORY), lab)
    seconds = {row["stage"]: float(row["seconds"]) for row in rows}
    figures = {"nodes": "nodes_seconds", "cloud": "deploy_seconds"}
    return {figures[stage]: took for stage, took in seconds.items() if stage in figures}


def memory(lab: str) -> float:
    """The memory of everything in the nodes of a lab, in MiB: proportional set sizes (PSS)."""
    client = daemon.connect()
    ids = [c.id for c in client.containers.list(filters={"label": f"kollalab.lab={lab}"})]
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            group = (folder / "cgroup").read_text(encoding="ascii")
            if not any(str(each) in group for each in ids):
                continue
            lines = (folder / "smaps_rollup").read_text(encoding="ascii").splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return round(total / 1024)
