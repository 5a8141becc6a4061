"""Garbage: what counts as such, how big it is, what is never touched."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from pytest_kollalab.cli import main
from pytest_kollalab.cli.frame import EXIT_HOST, EXIT_USAGE
from pytest_kollalab.engine import owners, records
from pytest_kollalab.engine.engine import Engine
from pytest_kollalab.engine.garbage import InUse, Item, Searches
from pytest_kollalab.engine.owners import Ownership
from pytest_kollalab.engine.records import CREATING, FAILED, READY, Record
from pytest_kollalab.engine.stage import Stage, Work
from pytest_kollalab.lab.gc import item as garbage
from pytest_kollalab.lab.gc import labs
from pytest_kollalab.lab.gc.find import find
from pytest_kollalab.lab.gc.in_use import in_use
from pytest_kollalab.lab.gc.item import DAY, above, bytes_of, spare
from pytest_kollalab.lab.lab import Lab
from pytest_kollalab.providers import retained
from pytest_kollalab.providers.docker import garbage as docker_garbage
from pytest_kollalab.providers.docker.provider import DockerProvider
from pytest_kollalab.providers.docker.spec import LAYERS, NEEDS
from pytest_kollalab.providers.libvirt.host import LibvirtHost
from pytest_kollalab.settings.config import Config, NodesConfig, Options
from pytest_kollalab.stages.images import garbage as images_garbage
from pytest_kollalab.stages.images import store
from pytest_kollalab.stages.tools import ToolsMade, ToolsStage
from pytest_kollalab.system import daemon, files, locks
from pytest_kollalab.system.errors import ConfigError
from pytest_kollalab.system.locks import Lease
from pytest_kollalab.system.paths import Paths
from tests import made


def make_lab(paths: Paths, name: str, status: str, age: float = 0.0) -> Path:
    folder = paths.lab(name)
    path = folder / "nodes.json"
    records.save(path, Record("nodes", "k", "r", status, inputs={}))
    for each in (path, folder):
        os.utime(each, (time.time() - age,) * 2)
    return folder


@pytest.mark.parametrize(
    ("statuses", "days", "why"),
    [
        ({"nodes": READY, "cloud": READY}, 1, None),
        ({"nodes": READY, "cloud": FAILED}, 1, None),
        ({"nodes": READY}, 8, "not used for 8 d"),
        ({"nodes": READY, "cloud": CREATING}, 0, "its run was stopped while creating cloud"),
        ({}, 0, "a folder without records"),
    ],
)
def test_why_a_lab_may_go(statuses: dict[str, str], days: int, why: str | None) -> None:
    assert labs.why_stale(statuses, days * DAY, 7 * DAY) == why


def test_stale_labs_are_found_and_those_in_use_are_not(paths: Paths) -> None:
    make_lab(paths, "young", READY)
    make_lab(paths, "old", READY, age=9 * DAY)
    make_lab(paths, "leased", READY, age=9 * DAY)
    make_lab(paths, "locked", CREATING)
    make_lab(paths, "dead", CREATING)
    lease = Lease(paths.state / "labs" / "leased.lease")
    lease.take()
    with locks.exclusive(paths.state / "labs" / "locked.lock", "build"):
        found = {item.what: item for item in labs.stale(paths, 7 * DAY)}
    lease.release()
    assert sorted(found) == ["dead", "old"]
    assert found["old"].age == pytest.approx(9 * DAY, abs=60)
    assert found["old"].size


def lease(paths: Paths) -> None:
    held = Lease(paths.state / "labs" / "lab.lease")
    held.take()
    held.release()


def long_session(paths: Paths) -> None:
    held = Lease(paths.state / "labs" / "lab.lease")
    held.take()
    make_lab(paths, "lab", READY, age=9 * DAY)
    held.release()


def ssh(paths: Paths) -> None:
    nodes = Record("nodes", "k", "r", READY, inputs={}, made=made.nodes().to_json())
    path = paths.lab("lab") / "nodes.json"
    records.save(path, nodes)
    for each in (path, path.parent):
        os.utime(each, (time.time() - 9 * DAY,) * 2)
    Lab(Config(), Options(), paths=paths).ssh()


@pytest.mark.parametrize("use", [lease, long_session, ssh])
def test_every_use_of_a_lab_counts(paths: Paths, use: Callable[[Paths], None]) -> None:
    make_lab(paths, "lab", READY, age=9 * DAY)
    assert [item.what for item in labs.stale(paths, 7 * DAY)] == ["lab"]
    use(paths)
    assert list(labs.stale(paths, 7 * DAY)) == []


def test_looking_for_garbage_is_no_use(paths: Paths) -> None:
    make_lab(paths, "lab", READY, age=9 * DAY)
    for _ in range(2):
        assert [item.what for item in labs.stale(paths, 7 * DAY)] == ["lab"]


class Venv(Stage[ToolsMade]):
    """A shared stage that is always there."""

    makes = ToolsMade
    name = "tools"
    shared = True

    def inputs(self) -> dict[str, str]:
        return {}

    def gone(self, made: ToolsMade) -> str | None:
        return None

    def create(self, work: Work) -> ToolsMade:
        return ToolsMade(venv=Path("/venv"))


def test_every_use_of_what_labs_share_counts(paths: Paths) -> None:
    engine = Engine("lab", (Venv(),), paths, say=lambda _: None)
    engine.ensure("tools")
    key = engine.key("tools")
    record = paths.shared("tools") / "records" / f"{key}.json"
    os.utime(record, (time.time() - 9 * DAY,) * 2)
    assert key not in in_use(paths, Config(), 7 * DAY).of("tools")
    Engine("other", (Venv(),), paths, say=lambda _: None).ensure("tools")
    assert key in in_use(paths, Config(), 7 * DAY).of("tools")
    # With --older-than 0, nothing is spared for its age.
    assert key not in in_use(paths, Config()).of("tools")


def test_a_record_that_cannot_be_read_is_not_taken_for_a_dead_run(paths: Paths) -> None:
    files.write(paths.lab("broken") / "nodes.json", "{")
    assert list(labs.stale(paths, 7 * DAY)) == []


def test_a_lab_that_is_being_made_owns_its_tag_before_its_first_record(paths: Paths) -> None:
    labels = owners.tag("new", "nodes", "key", "run", paths.state).labels()
    ownership = Ownership(paths.state)
    assert labs.is_left(labels, paths, ownership)
    with locks.exclusive(paths.state / "labs" / "new.lock", "build"):
        assert not labs.is_left(labels, paths, ownership)


def test_what_is_kept_of_a_lab_that_is_gone_is_not_left_over_but_ages(paths: Paths) -> None:
    retained.write(
        paths.state, "lab", retained.Retained("golden.1", "2026-01-01T00:00:00Z", "docker")
    )
    tag = {"kollalab.lab": "lab"}
    assert labs.is_kept(tag | {"kollalab.save": "golden.1"}, paths)
    assert not labs.is_kept(tag | {"kollalab.save": "golden.0"}, paths)
    assert not labs.is_kept(tag, paths)
    file = paths.state / "golden" / "lab" / retained.FILE
    assert list(labs.goldens(paths, DAY)) == []
    os.utime(file, (time.time() - 2 * DAY,) * 2)
    assert [item.what for item in labs.goldens(paths, DAY)] == ["lab"]
    assert list(labs.goldens(paths, 1e12)) == []
    lease = Lease(paths.state / "labs" / "lab.lease")
    lease.take()
    assert list(labs.goldens(paths, DAY)) == []
    lease.release()


def test_what_an_image_has_of_its_own() -> None:
    images = [
        {"Id": "base", "Size": 100, "RootFS": {"Layers": ["a"]}},
        {"Id": "child", "Size": 130, "RootFS": {"Layers": ["a", "b", "c"]}},
        {"Id": "other", "Size": 50, "RootFS": {"Layers": ["x"]}},
    ]
    assert images_garbage.own_sizes(images) == {"base": 100, "child": 30, "other": 50}


def test_old_tools_and_files_are_found_those_in_use_are_not(paths: Paths) -> None:
    for name in ("used", "old"):
        files.write(paths.cache / "tools" / name / "bin" / "python", "x")
        files.write(paths.cache / "images" / "build" / name / "kolla-build.conf", "x")
    used = InUse({"tools": frozenset({"used"})}, tags=frozenset({"used"}))
    (tools,) = ToolsStage(Config(), Options(), paths).garbage(used, 0)["tools"]()
    assert tools.what == "old"
    assert [item.what for item in images_garbage.files(paths, used, 0)] == ["images/build/old"]
    assert list(images_garbage.files(paths, used, DAY)) == []
    with locks.exclusive(paths.cache / "stages" / "images.lock", "build"):
        assert list(images_garbage.files(paths, used, 0)) == []
    tools.remove()
    assert [path.name for path in (paths.cache / "tools").iterdir()] == ["used"]


def blob(root: Path, name: str, data: bytes) -> str:
    path = root / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return f"sha256:{name}"


def test_the_store_tells_what_only_one_tag_needs(tmp_path: Path) -> None:
    shared, mine = blob(tmp_path, "aa1", b"s" * 5000), blob(tmp_path, "bb1", b"m" * 9000)
    for tag, layers in {"old": [shared, mine], "new": [shared]}.items():
        text = json.dumps({"config": {"digest": shared}, "layers": [{"digest": d} for d in layers]})
        digest = blob(tmp_path, f"cc{tag}", text.encode())
        link = "docker/registry/v2/repositories/kolla/cron/_manifests/tags"
        files.write(tmp_path / link / tag / "current" / "link", digest)
    tags = store.tags(tmp_path)
    assert sorted(tags) == ["new", "old"]
    size = store.only_in(tmp_path, tags["old"], tags["new"])
    assert 9000 <= size < 9000 + 3 * 4096
    assert store.only_in(tmp_path, tags["new"], tags["old"]) <= 4096


def test_spans_and_sizes_for_people() -> None:
    assert [garbage.human_age(s) for s in (5, 300, 7200, 3 * DAY)] == ["5 s", "5 min", "2 h", "3 d"]
    assert [garbage.human_size(s) for s in (None, 10, 2048, 5 * 2**30)] == [
        "?", "10 B", "2 KiB", "5.0 GiB",
    ]  # fmt: skip


def test_mistakes_are_messages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["gc", "--kind", "stor"])
    assert (result.exit_code, "'store'" in result.output) == (EXIT_USAGE, True)
    result = CliRunner().invoke(main, ["gc"])
    assert (result.exit_code, "start the daemon" in result.output) == (EXIT_HOST, True)


def item(what: str, age: float, size: int | None, kind: str = "golden") -> Item:
    return Item(kind, what, "nothing uses it", age, size, lambda: None)


AGED = [
    item("old", 9.0, 4),
    item("young", 1.0, 4),
    item("middle", 5.0, 4),
    item("run", 2.0, None, "run"),
]


def test_the_newest_of_each_kind_are_spared() -> None:
    assert [each.what for each in spare(AGED, 1)] == ["old", "middle"]
    assert spare(AGED, 0) == AGED
    assert spare(AGED, 9) == []


@pytest.mark.parametrize(
    ("size", "going"),
    [(12, []), (11, ["old"]), (4, ["old", "middle"]), (0, ["old", "young", "middle"])],
)
def test_the_oldest_go_until_the_rest_is_small_enough(size: int, going: list[str]) -> None:
    assert [each.what for each in above(AGED, size)] == going


@pytest.mark.parametrize(
    ("text", "size"),
    [("12", 12), ("2K", 2048), ("1.5M", 1572864), ("20GiB", 20 * 2**30), ("1tb", 2**40)],
)
def test_a_size_is_read_as_people_write_it(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "much", "3X", "G"])
def test_what_is_no_size_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a size"):
        bytes_of(text)


def test_layers_of_images_that_nothing_uses_or_needs() -> None:
    removed: list[str] = []

    class Api:
        def volumes(self, filters: dict[str, str]) -> dict[str, Any]:
            if filters["label"] == NEEDS:
                return {"Volumes": [{"Labels": {NEEDS: "kollalab-layers-saved"}}]}
            made = {"CreatedAt": "2026-01-01T00:00:00Z"}
            return {
                "Volumes": [
                    {"Name": f"kollalab-layers-{tag}", "Labels": {filters["label"]: tag}, **made}
                    for tag in ("used", "old", "mounted", "saved")
                ]
            }

        def containers(self, **_: Any) -> list[dict[str, Any]]:
            layers = {"Name": "kollalab-layers-mounted", "Destination": LAYERS}
            return [{"Mounts": [{"Type": "bind"}, layers]}]

        remove_volume = staticmethod(removed.append)

    client: Any = SimpleNamespace(api=Api())
    used = InUse(tags=frozenset({"used"}))
    (item,) = docker_garbage.layers(client, used, older_than=DAY)
    assert (item.kind, item.what) == ("layers", "old")
    item.remove()
    assert removed == ["kollalab-layers-old"]


def test_what_labs_and_releases_stand_on_is_in_use(paths: Paths) -> None:
    tools = ToolsStage(Config(), Options(), paths)
    current = Engine("lab", (tools,), paths).key("tools")
    for key, tag in (("older", "held"), ("oldest", "free")):
        record = Record("images", key, "r", READY, inputs={}, made=made.images(tag=tag).to_json())
        records.save(paths.shared("images") / "records" / f"{key}.json", record)
    held = Record("nodes", "k", "r", READY, inputs={}, needs={"images": "older"})
    records.save(paths.lab("lab") / "nodes.json", held)
    found = in_use(paths, Config())
    assert current in found.of("tools")
    assert "older" in found.of("images")
    assert {"held", "held-upstream"} <= found.tags
    assert "free" not in found.tags


def test_uses_are_joined() -> None:
    said = InUse({"own": frozenset({"a"})}) | InUse({"own": frozenset({"b"})}, frozenset({"t"}))
    assert said.of("own") == {"a", "b"}
    assert said.of("other") == frozenset()
    assert said.tags == {"t"}


def test_a_provider_of_another_package_says_what_it_leaves(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hired(DockerProvider):
        def uses(self, nodes: NodesConfig) -> InUse:
            return InUse(tags=frozenset({"hired"}))

        def garbage(self, nodes: NodesConfig, used: InUse, older_than: float) -> Searches:
            return {"files": lambda: iter([item(", ".join(used.tags), older_than, 1, "files")])}

    monkeypatch.setattr(daemon, "connect", lambda **_: SimpleNamespace())
    monkeypatch.setattr(LibvirtHost, "problems", lambda _: ["there is none"])
    added = {"hired": lambda options, paths: Hired("", "", paths)}
    found = find(paths, Config(), 2, ["files"], added=added)
    assert [(each.what, each.age) for each in found] == [("hired", 2 * DAY)]
