"""The process is killed while it pushes a golden state and fetches it; nothing is lost or left."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker
import pytest

from pytest_kollalab.settings.config import Options
from pytest_kollalab.stages.golden.layout import Archive, Folder
from pytest_kollalab.stages.images import registry
from pytest_kollalab.system import debian
from pytest_kollalab.system.crash_points import VARIABLE
from pytest_kollalab.system.paths import default_paths
from tests.crash.census import Trail, take
from tests.crash.table import Table
from tests.crash.tools import execute

MARK = secrets.token_hex(2)
TAG = f"crash{MARK}"
FROM, TO = f"crash-from-{MARK}", f"crash-to-{MARK}"

PUSHING = ("push:packed", "push:pressed", "push:uploading", "push:uploaded", "push:tagged")
# Of a place that is a file.
ARCHIVING = ("push:archived",)
FETCHING = (
    "fetch:downloading",
    "fetch:downloaded",
    "fetch:images-loaded",
    "fetch:images-stored",
    "fetch:images-recorded",
    "fetch:volume-made",
    "fetch:unpacked",
    "fetch:loaded",
    "fetch:dropped",
)
POINTS = {*PUSHING, *ARCHIVING, *FETCHING}


@dataclass
class Host:
    """A host with a lab, by a process for each verb."""

    folder: Path
    lab: str
    image: str
    place: str

    def __post_init__(self) -> None:
        state = self.folder / "state"
        scratch = (self.folder / "cache" / "push", self.folder / "cache" / "fetch")
        folders = (state / "labs" / self.lab, state / "runs", *scratch)
        self.trail = Trail(f"kollalab.lab={self.lab}", folders)

    def run(self, verb: str, crash_at: str = "", place: str = "") -> int:
        argv = [sys.executable, "-m", "tests.crash.golden", str(self.folder), self.lab, TAG]
        argv += [self.image, place or self.place, verb]
        log = self.folder / "output"
        code, pid = execute(argv, {**os.environ, VARIABLE: crash_at}, log)
        self.trail.pids.append(pid)
        return code

    def said(self) -> str:
        return (self.folder / "output").read_text()

    def scratches(self) -> list[str]:
        """The folders that a push or fetch needs meanwhile."""
        cache = self.folder / "cache"
        return sorted(p.name for what in ("push", "fetch") for p in cache.glob(f"{what}-*"))


@pytest.fixture(scope="module")
def image() -> str:
    """The image of the registry, as labs of this host have it."""
    client, log = docker.from_env(), Path(os.devnull)
    cache = default_paths().cache / "images"
    base = debian.ensure(client, "trixie", Options().mirror, cache, log)
    return registry.ensure_image(client, base, log)


@pytest.fixture(scope="module")
def origin(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("origin")
    found = Host(folder, FROM, image, f"oci:{folder / 'layout'}")
    assert found.run("deploy") == 0
    yield found
    assert found.run("down") == 0
    after = take(found.trail)
    assert not any(after.values()), after


@pytest.mark.parametrize("point", [*PUSHING, *ARCHIVING])
def test_a_kill_while_a_golden_state_is_pushed(
    origin: Host, table: Table, tmp_path: Path, point: str
) -> None:
    started = time.monotonic()
    archive = point in ARCHIVING
    place = f"oci-archive:{tmp_path / 'golden.tar'}" if archive else f"oci:{tmp_path / 'layout'}"
    before = take(origin.trail)
    assert origin.run("push", point, place) == -signal.SIGKILL, f"{point} was not reached"
    killed = take(origin.trail)
    layout = Archive(tmp_path / "golden.tar") if archive else Folder(tmp_path / "layout")
    # Nobody sees a part of it.
    seen = layout.tags() if isinstance(layout, Folder) else layout.file.exists()
    assert bool(seen) == (point == "push:tagged")
    assert origin.run("push", place=place) == 0
    assert origin.scratches() == []
    if isinstance(layout, Folder):
        assert len(layout.tags()) == 1
        assert [p.name for p in layout.path("").iterdir() if p.name.startswith(".")] == []
    else:
        assert layout.file.exists()
        assert [p.name for p in tmp_path.iterdir()] == [layout.file.name]
    after = {
        kind: 0 if kind in ("processes", "files") else max(0, count - before[kind])
        for kind, count in take(origin.trail).items()
    }
    table.add(f"{point} (push)", killed, "the next push", after, time.monotonic() - started)
    assert not any(after.values()), after


@pytest.fixture
def other(origin: Host, tmp_path: Path) -> Host:
    """An empty host, but for the images that docker has, and the layers of the first lab."""
    if origin.run("push") != 0:
        pytest.fail(origin.said())
    return Host(tmp_path, TO, origin.image, origin.place)


@pytest.mark.parametrize("point", FETCHING)
def test_a_kill_while_a_golden_state_is_fetched(other: Host, table: Table, point: str) -> None:
    started = time.monotonic()
    assert other.run("up", point) == -signal.SIGKILL, f"{point} was not reached"
    killed = take(other.trail)
    assert other.run("up") == 0
    # What came before the kill is used: the next run does not deploy.
    assert "from a fetched golden state" in other.said()
    store = other.folder / "cache" / "registry"
    assert registry.stored(store, TAG, ["tiny"]) == ["tiny"]
    assert other.scratches() == []
    assert other.run("down") == 0
    after = take(other.trail)
    table.add(f"{point} (fetch)", killed, "the next run", after, time.monotonic() - started)
    assert not any(after.values()), after
