"""When a golden state is fetched, and how the run goes on when it cannot be used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from pytest_kollalab.engine.engine import BUILD, FETCH, REUSE, Engine
from pytest_kollalab.engine.made import Made
from pytest_kollalab.engine.records import Tag
from pytest_kollalab.engine.stage import Work
from pytest_kollalab.providers.base import Arrived, Carrying, Packed, PackedImage
from pytest_kollalab.settings.config import Options
from pytest_kollalab.stages import room
from pytest_kollalab.stages.golden import artifact, fetch, records, store, transfer
from pytest_kollalab.stages.golden.artifact import Golden, LoadedImage
from pytest_kollalab.stages.golden.cached import cached, garbage
from pytest_kollalab.stages.golden.fetch import Fetch
from pytest_kollalab.stages.golden.layout import Folder
from pytest_kollalab.stages.golden.push import is_wanted
from pytest_kollalab.stages.images.made import ImagesMade
from pytest_kollalab.stages.states.rollback import Rewind
from pytest_kollalab.stages.states.saves import Saves
from pytest_kollalab.stages.states.source import CloneSource
from pytest_kollalab.system.errors import HostError, StageError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from tests import made
from tests.golden import golden
from tests.unit import test_goldens as before
from tests.unit.test_golden_places import blobs

DISK, ROOT, FILES = "the disk", "the root", "the files"


class Images(before.Images):
    """Images that are there when somebody says so."""

    def gone(self, made: Made) -> str | None:
        return None


class Nodes(before.Nodes):
    """Nodes that are cloned from a source, if there is one."""

    def __init__(self, provider: before.Memory, host: Host) -> None:
        super().__init__(provider)
        self.host = host

    def create(self, work: Work) -> Made:
        source = self.host.source()
        if source is not None:
            source.bring(work.tag)
            self.host.cloned += 1
            source.drop()
        return super().create(work)


class Cloud(before.Cloud):
    """A cloud that may be sick when it came with cloned nodes."""

    def __init__(self, features: list[str], host: Host) -> None:
        super().__init__(features)
        self.host = host

    def create(self, work: Work) -> Made:
        if self.host.sick and self.host.cloned:
            raise StageError("the cloud is not healthy")
        return super().create(work)


class Carried(Carrying):
    """Takes note of what it is given."""

    driver = "overlay2"

    def __init__(self) -> None:
        self.unpacked: list[Arrived] = []

    def pack(
        self, lab: str, label: str, known: Collection[str], images: Sequence[str], folder: Path
    ) -> Packed:
        raise NotImplementedError

    def lacking(self, images: Iterable[str]) -> list[str]:
        return []

    def load(self, images: Mapping[str, PackedImage], folder: Path) -> None:
        pass

    def unpack(self, tag: Tag, label: str, arrived: Arrived, folder: Path) -> None:
        self.unpacked.append(arrived)


class Host:
    """A host with a lab, and a place with golden states."""

    def __init__(self, folder: Path) -> None:
        self.paths = Paths(folder / "cache", folder / "state")
        self.place = Folder(folder / "place")
        self.provider = before.Memory(self.paths.state)
        self.carried = Carried()
        self.provider.carrying = self.carried
        self.said: list[str] = []
        self.sick = False
        self.cloned = 0
        self.fetch: Fetch | None = None
        self.files = folder / "files"

    def run(self, *fresh: str, **options: Any) -> tuple[Engine, Fetch]:
        stages = (Images(), Nodes(self.provider, self), Cloud(["sfc"], self))
        engine = Engine("lab", stages, self.paths, fresh=fresh, say=self.said.append)
        saves = Saves("lab", self.paths.lab("lab"), cast("Any", self.provider))
        lease = Lease(self.paths.state / "labs" / "lab.lease")
        rewind = Rewind(engine, saves, lease, resolve=lambda *_: ())
        given = Options(golden_registry=f"oci:{self.place.root}")
        self.fetch = Fetch(rewind, replace(given, **options), wanted=True)
        return engine, self.fetch

    def source(self) -> CloneSource | None:
        return self.fetch.source() if self.fetch is not None else None

    def push(self, **changes: Any) -> Golden:
        """Have a golden state of the lab's key in the place."""
        engine, _ = self.run()
        keys = {step.stage: step.key for step in engine.plan()}
        files = blobs(self.files, DISK, ROOT, FILES)
        disk, root, about = (blob.digest for blob in files)
        state = golden(
            **{
                "key": keys["cloud"],
                "images_key": keys["images"],
                "disks": {"controller-1": disk},
                "roots": {"controller-1": LoadedImage({}, (root,))},
                "files": about,
                "loaded": {"kollalab/node:n1": LoadedImage({}, (root,))},
                **changes,
            }
        )
        manifest, config = artifact.make(state, files)
        path = self.files / "config"
        path.write_bytes(config)
        files[manifest.config] = path
        transfer.upload(self.place, files, lambda _: None)
        self.place.tag(keys["cloud"], manifest.text())
        return state

    def actions(self, *fresh: str, **options: Any) -> list[str]:
        engine, found = self.run(*fresh, **options)
        return [step.action for step in found.plan(engine.plan())]

    def up(self) -> Engine:
        """As `Lab.ensure` does it."""
        engine, found = self.run()
        found.bring_images(engine.plan())
        engine.ensure("images")
        found.revive(engine.plan())
        engine.ensure("cloud")
        return engine


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(room, "data_root", lambda: tmp_path)
    # What stands for the registry's store, and for what the state has of the cloud.
    monkeypatch.setattr(store, "lay", lambda *_: None)
    monkeypatch.setattr(fetch, "run", lambda *_: None)
    monkeypatch.setattr(records, "unpack", lambda *_: None)
    monkeypatch.setattr(records, "read_nodes", lambda _: made.nodes({}))
    return Host(tmp_path)


def test_a_lab_without_a_golden_state_of_its_key_is_built(host: Host) -> None:
    assert host.actions() == [BUILD] * 3
    host.push()
    host.place.forget(host.run()[0].plan()[-1].key)
    assert host.actions() == [BUILD] * 3
    assert host.said == []


def test_the_plan_says_from_where_and_how_much(host: Host) -> None:
    host.push()
    engine, found = host.run()
    images, nodes, cloud = found.plan(engine.plan())
    assert (images.action, nodes.action, cloud.action) == (FETCH, FETCH, FETCH)
    assert images.reason == f"from {host.place}, 0 MiB"
    assert cloud.reason == f"golden state of 2026-05-01T10:11:12Z from {host.place}"
    assert not cached(host.paths.cache).root.exists()


def test_it_is_fetched_and_nothing_is_built(host: Host) -> None:
    host.push()
    engine = host.up()
    assert host.cloned == 1
    assert [step.action for step in engine.plan()] == [REUSE] * 3
    images = engine.made(ImagesMade)
    assert images is not None
    assert (images.tag, images.registry_image) == ("t1", "kollalab/registry:r1")
    assert host.actions() == [REUSE] * 3


@pytest.mark.parametrize("fresh", ["images", "nodes", "cloud"])
def test_what_is_asked_for_fresh_is_built(host: Host, fresh: str) -> None:
    host.push()
    assert FETCH not in host.actions(fresh)


def test_a_lab_that_is_there_is_not_replaced(host: Host) -> None:
    engine, _ = host.run()
    engine.ensure("nodes")
    host.push()
    assert host.actions() == [REUSE, REUSE, BUILD]


@pytest.mark.parametrize(
    "changes", [{"version": "0.0.1"}, {"driver": "btrfs"}, {"architecture": "s390x"}]
)
def test_one_that_cannot_be_used_is_refused_once_and_the_lab_is_built(
    host: Host, changes: dict[str, str]
) -> None:
    host.push(**changes)
    engine, found = host.run()
    assert [step.action for step in found.plan(engine.plan())] == [BUILD] * 3
    found.plan(engine.plan())
    (line,) = host.said
    assert line.startswith("no golden state is fetched: ")
    assert next(iter(changes.values())) in line
    assert host.up().made(ImagesMade) is not None
    assert host.cloned == 0


def test_a_disk_that_is_too_full_is_told_before_anything_is_fetched(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise HostError("the disk is too full")

    host.push()
    monkeypatch.setattr(room, "check", full)
    assert host.actions() == [BUILD] * 3
    assert host.said == ["no golden state is fetched: the disk is too full"]
    assert not cached(host.paths.cache).root.exists()


def test_one_that_does_not_become_healthy_is_removed_and_the_lab_built(host: Host) -> None:
    host.push()
    host.sick = True
    engine, found = host.run()
    found.bring_images(engine.plan())
    found.revive(engine.plan())
    assert any("not healthy" in line for line in host.said)
    assert engine.session.failure() is None
    assert [step.action for step in found.plan(engine.plan())] == [REUSE, BUILD, BUILD]
    host.sick = False
    engine.ensure("cloud")
    assert host.cloned == 1


def test_a_wrong_blob_ends_the_fetch_and_not_the_run(host: Host) -> None:
    state = host.push()
    host.place.path(state.files).write_text("the fileS")
    engine, found = host.run()
    found.bring_images(engine.plan())
    assert any("has something else under" in line for line in host.said)
    assert [step.action for step in found.plan(engine.plan())] == [BUILD] * 3


def test_what_was_fetched_needs_no_place(host: Host) -> None:
    host.push()
    host.up().destroy()
    engine, found = host.run(golden_registry="")
    images, nodes, _ = found.plan(engine.plan())
    assert (images.action, nodes.action) == (REUSE, FETCH)
    assert nodes.reason.endswith(", all of it here")


def test_what_was_fetched_goes_when_nobody_used_it(host: Host) -> None:
    assert list(garbage(host.paths, 0)) == []
    state = host.push()
    host.up()
    assert list(garbage(host.paths, 3600)) == []
    folder = cached(host.paths.cache)
    (folder.path("") / "half.part").write_text("half")
    items = list(garbage(host.paths, 0))
    assert [item.what for item in items] == [state.key, "parts"]
    for item in items:
        item.remove()
    assert list(folder.path("").iterdir()) == []
    assert folder.tags() == {}


@pytest.mark.parametrize(
    ("push", "environment", "wanted"),
    [
        ("never", "true", False),
        ("always", "", True),
        ("ci", "", False),
        ("ci", "false", False),
        ("ci", "true", True),
        ("ci", "1", True),
    ],
)
def test_a_deploy_is_pushed_if_that_is_wanted(
    monkeypatch: pytest.MonkeyPatch, push: Any, environment: str, wanted: bool
) -> None:
    monkeypatch.setenv("CI", environment)
    assert is_wanted(Options(push=push)) == wanted
